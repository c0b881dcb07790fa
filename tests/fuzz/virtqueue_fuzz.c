/*
 * A hostile driver against every virtio device. The input chooses the device and is then
 * a list of operations of a few bytes each: register accesses, configuration accesses,
 * writes to rings and data, kicks, time and I/O completions. A start-up in good order is
 * one operation, so that the fuzzer need not find it byte by byte.
 *
 * The loop is the one of the device tests, linked by inclusion: what a callback does
 * depends on the input alone.
 */
#include "tests/fuzz/virtio_input.h"
#include "tests/unit/loop_fake.c"
#include "tests/unit/virtio_guest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { QUEUE_SIZE = 16 };

/* Mostly near the rings and the data, sometimes anywhere, now and then outside RAM. */
static uint64_t take_address(struct input *input)
{
	uint8_t kind = take(input, 1);

	if (kind < 200)
		return GUEST_DATA + 16 * take(input, 2) % (GUEST_MEMORY - GUEST_DATA);
	if (kind < 230)
		return take(input, 3);
	return take(input, 8);
}

static void describe(struct guest *guest, struct input *input)
{
	static const uint32_t sizes[] = {0, 1, 16, 17, 512, 1536, 4096, 64};
	uint8_t place = take(input, 1), shape = take(input, 1);
	uint64_t address = take_address(input);
	uint32_t size = shape & 0x80 ? take(input, 4) : sizes[shape >> 4 & 7];
	uint16_t flags = shape & 7, next = take(input, 1);

	/* In the ring of one of the queues, or in an indirect table. */
	if (place & 0x40)
		((struct vring_desc *)guest_at(guest, GUEST_DATA))[place % 16] =
		        (struct vring_desc){address, size, flags, next};
	else
		guest_describe(
		        guest, place >> 4 & 3, place % 16, address, size, flags, next);
}

/*
 * A request as a driver would make it: 16 bytes of header, some data one way or the
 * other, one byte for a status; in the ring or in an indirect table.
 */
static void request(struct guest *guest, struct input *input, unsigned queue)
{
	static const uint32_t sizes[] = {512, 16, 511, 0, 1024, 4096, 20, 100};
	uint8_t shape = take(input, 1), place = take(input, 1);
	unsigned head = place % (QUEUE_SIZE - 5);
	struct vring_desc *ring = guest_desc(guest, queue) + head;
	bool indirect = shape & 0x80, in = shape & 0x40;
	struct vring_desc *desc = indirect ? guest_at(guest, GUEST_DATA) : ring;
	unsigned next = indirect ? 1 : head + 1, count = 0;
	uint32_t header[4] = {take(input, 1) % 16, 0, take(input, 1), 0};
	uint64_t address = GUEST_DATA + 0x1000;

	if (shape & 0x20)
		header[3] = take(input, 4);
	memcpy(guest_at(guest, address), header, sizeof(header));
	/* A second header where the data is: the range of a discard. */
	memcpy(guest_at(guest, address + 16), header, 8);
	memset(guest_at(guest, address + 24), 0, 8);
	*(uint8_t *)guest_at(guest, address + 24) = take(input, 1);
	*(uint8_t *)guest_at(guest, address + 28) = take(input, 1);

	desc[count++] = (struct vring_desc){address, 16, VRING_DESC_F_NEXT, next++};
	for (unsigned data = shape >> 3 & 3; data > 0; data--)
		desc[count++] = (struct vring_desc){address + 16, sizes[shape & 7],
		        VRING_DESC_F_NEXT | (in ? VRING_DESC_F_WRITE : 0), next++};
	desc[count++] = (struct vring_desc){address + 0x8000, 1, VRING_DESC_F_WRITE, 0};
	if (indirect)
		*ring = (struct vring_desc){
		        GUEST_DATA, 16 * count, VRING_DESC_F_INDIRECT, 0};
	guest_offer(guest, queue, QUEUE_SIZE, head);
	if (!(place & 0x80))
		guest_kick(guest, queue);
}

static void step(struct guest *guest, struct input *input)
{
	uint8_t operation = take(input, 1), queue = operation >> 4 & 3;

	switch (operation & 15) {
	case 0:
		guest_start(guest, guest_offered(guest) & ~take(input, 8),
		        VIRTIO_QUEUES, QUEUE_SIZE);
		break;
	case 1:
		guest_set(guest, take(input, 1) & 0xfc, take(input, 4));
		break;
	case 2:
		guest_write(guest, take(input, 2) % (VIRTIO_MMIO_SIZE - 8),
		        take(input, 8), 1 << queue);
		break;
	case 3:
		guest_read(guest, take(input, 2) % (VIRTIO_MMIO_SIZE - 8), 1 << queue);
		break;
	case 4:
	case 5:
	case 6:
		describe(guest, input);
		break;
	case 7:
		request(guest, input, queue);
		break;
	case 8:
	case 9:
		guest_offer(guest, queue, QUEUE_SIZE, take(input, 1) % 32);
		break;
	case 10:
		guest_kick(guest, queue);
		break;
	case 11:
		guest_avail(guest, queue)->idx += (int8_t)take(input, 1);
		guest_avail(guest, queue)->flags = take(input, 1);
		break;
	case 12:
		memcpy(guest_at(guest, take(input, 2)), input->data,
		        input->size < 8 ? input->size : 8);
		break;
	case 13:
		loop_fake_run(guest->host.loop);
		break;
	case 14:
		loop_fake_advance(guest->host.loop, take(input, 1) << 20);
		break;
	case 15:
		pthread_mutex_lock(&guest->device->lock);
		guest->device->type->pause(guest->device);
		guest->device->type->resume(guest->device);
		pthread_mutex_unlock(&guest->device->lock);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	uint8_t kind = take(&input, 1);
	struct guest guest;

	log_set_level(LOG_ERROR);
	guest_init(&guest);
	struct virtio *virtio = devices[(kind & 0x7f) % DEVICES](&guest.host);
	guest.device = virtio_mmio_create(&guest.host, virtio, GUEST_GSI);
	if (!guest.device)
		abort();
	if (!(kind & 0x80))
		guest_start(&guest, guest_offered(&guest), VIRTIO_QUEUES, QUEUE_SIZE);
	while (input.size > 0)
		step(&guest, &input);
	guest_destroy(&guest);
	return 0;
}
