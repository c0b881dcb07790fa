/* The user-mode network: frames and published ports. */
#include <signal.h>

#include "tests/unit/nic_bed.h"

static void mac_is_given_or_made_up(void)
{
	struct nic_config config = {0};
	struct nic *one = nic_open(&config), *two = nic_open(&config);

	CU_ASSERT_FATAL(one && two);
	CU_ASSERT_EQUAL(one->mac[0], 2);
	CU_ASSERT_NOT_EQUAL(memcmp(one->mac, two->mac, 6), 0);
	nic_close(one);
	nic_close(two);
	config.has_mac = true;
	memcpy(config.mac, guest_mac, 6);
	one = nic_open(&config);
	CU_ASSERT_EQUAL(memcmp(one->mac, guest_mac, 6), 0);
	nic_close(one);
}

static void dhcp_offers_the_address_of_network(unsigned index)
{
	const struct nic_config config = {.user_index = index};
	uint8_t dhcp[300] = {1, 1, 6, 0, 1, 2, 3, 4};
	uint8_t frame[ETHERNET + 28 + sizeof(dhcp)];
	struct bed bed;

	memcpy(dhcp + 28, guest_mac, 6);
	memcpy(dhcp + 236, (uint8_t[]){99, 130, 83, 99, 53, 1, 1, 255}, 8);
	CU_ASSERT_FATAL(up(&bed, &config));
	CU_ASSERT_EQUAL(
	        send_frame(&bed, frame,
	                make_udp(frame, 0, 0xffffffff, 68, 67, dhcp, sizeof(dhcp))),
	        0);
	CU_ASSERT_FATAL(receive_ip(&bed, IPPROTO_UDP));
	const uint8_t *reply = payload(&bed) + ETHERNET + 28;
	CU_ASSERT_EQUAL(reply[0], 2);
	CU_ASSERT_EQUAL(memcmp(reply + 4, dhcp + 4, 4), 0);
	CU_ASSERT_EQUAL(
	        memcmp(reply + 16, ((uint8_t[]){10, 0, (uint8_t)(2 + index), 15}), 4),
	        0);
	CU_ASSERT_EQUAL(memcmp(bed.frame, ((uint8_t[HEADER]){0}), HEADER), 0);
	down(&bed);
}

static void dhcp_offers_the_address(void)
{
	dhcp_offers_the_address_of_network(0);
	dhcp_offers_the_address_of_network(1);
	dhcp_offers_the_address_of_network(CONFIG_NICS - 1);
}

static void frames_are_reported_while_they_last(void)
{
	static const struct nic_config config;
	struct bed bed;

	CU_ASSERT_FATAL(up(&bed, &config));
	arp(&bed, 1, 2);
	CU_ASSERT_EQUAL(loop_fake_wait(bed.loop, 50), 0);
	bed.nic->type->listen(bed.nic, POLLIN);
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(loop_fake_wait(bed.loop, 3000), 1);
	CU_ASSERT_EQUAL(bed.reports, 3);
	CU_ASSERT_EQUAL(bed.reported, POLLIN);
	CU_ASSERT(receive_now(&bed));
	CU_ASSERT_EQUAL(loop_fake_wait(bed.loop, 50), 0);
	arp(&bed, 1, 2);
	CU_ASSERT_EQUAL(loop_fake_wait(bed.loop, 3000), 1);
	CU_ASSERT(receive_now(&bed));
	CU_ASSERT_FALSE(receive_now(&bed));
	down(&bed);
}

static void frames_that_nobody_takes_are_dropped(void)
{
	static const struct nic_config config;
	unsigned frames = 0;
	struct bed bed;

	CU_ASSERT_FATAL(up(&bed, &config));
	for (unsigned i = 0; i < 10000; i++)
		arp(&bed, 1, 2);
	while (receive_now(&bed))
		frames++;
	CU_ASSERT(frames > 50 && frames < 5000);
	CU_ASSERT(settle(&bed));
	down(&bed);
}

static void slow_process_blocks_nobody(void)
{
	static const struct nic_config config;
	uint8_t frame[HEADER + ETHERNET + 1500] = {0};
	struct iovec iov = {frame, sizeof(frame)};
	unsigned sent = 0;
	struct bed bed;

	CU_ASSERT_FATAL(up(&bed, &config));
	kill(child(), SIGSTOP);
	while (sent < 10000 &&
	        bed.nic->type->send(bed.nic, &iov, 1, sizeof(frame)) == 0)
		sent++;
	CU_ASSERT(sent > 50 && sent < 10000);
	CU_ASSERT_EQUAL(bed.nic->type->send(bed.nic, &iov, 1, sizeof(frame)), -EAGAIN);
	bed.nic->type->listen(bed.nic, POLLOUT);
	CU_ASSERT_EQUAL(loop_fake_wait(bed.loop, 20), 0);
	kill(child(), SIGCONT);
	CU_ASSERT_EQUAL(loop_fake_wait(bed.loop, 3000), 1);
	CU_ASSERT_EQUAL(bed.reported, POLLOUT);
	CU_ASSERT_EQUAL(bed.nic->type->send(bed.nic, &iov, 1, sizeof(frame)), 0);
	down(&bed);
}

static void frames_have_a_size(void)
{
	static const struct nic_config config;
	uint8_t frame[ETHERNET + 1501] = {0};
	struct bed bed;

	CU_ASSERT_FATAL(up(&bed, &config));
	CU_ASSERT_EQUAL(send_frame(&bed, frame, ETHERNET - 1), -EMSGSIZE);
	CU_ASSERT_EQUAL(send_frame(&bed, frame, ETHERNET + 1501), -EMSGSIZE);
	CU_ASSERT_EQUAL(send_frame(&bed, frame, ETHERNET + 1500), 0);
	/* Cut short, or of a protocol that is off. */
	for (size_t size = ETHERNET; size < ETHERNET + 60; size++) {
		put16(frame + 12, ETH_P_IP);
		frame[ETHERNET] = 0x4f;
		CU_ASSERT_EQUAL(send_frame(&bed, frame, size), 0);
		put16(frame + 12, ETH_P_ARP);
		CU_ASSERT_EQUAL(send_frame(&bed, frame, size), 0);
		put16(frame + 12, ETH_P_IPV6);
		CU_ASSERT_EQUAL(send_frame(&bed, frame, size), 0);
	}
	CU_ASSERT(settle(&bed));
	down(&bed);
}

static void published_port_reaches_the_guest(void)
{
	struct nic_config config = {.publish_count = 1};
	struct sockaddr_in address = {
	        .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	unsigned fds = open_fds();
	struct bed bed;
	char byte;

	config.publish[0] =
	        (struct publish_config){INADDR_LOOPBACK, find_port(NULL), 80, false};
	CU_ASSERT_FATAL(up(&bed, &config));
	address.sin_port = htons(config.publish[0].host);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	CU_ASSERT_EQUAL_FATAL(
	        connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	CU_ASSERT_FATAL(receive_ip(&bed, IPPROTO_TCP));
	/* At once, not with libslirp's next time-out of 500 ms. */
	CU_ASSERT(bed.waited_ns < 400000000);
	CU_ASSERT_EQUAL(get16(payload(&bed) + ETHERNET + 22), 80);
	CU_ASSERT_EQUAL(payload(&bed)[ETHERNET + 33], 0x02); /* SYN */
	CU_ASSERT_EQUAL(
	        memcmp(payload(&bed) + ETHERNET + 16, ((uint8_t[]){10, 0, 2, 15}), 4),
	        0);
	down(&bed);
	/* With the network, its sockets are gone. */
	errno = 0;
	CU_ASSERT(recv(fd, &byte, 1, MSG_DONTWAIT) <= 0 && errno != EAGAIN);
	close(fd);
	CU_ASSERT_EQUAL(open_fds(), fds);
}

static void udp_is_published_too(void)
{
	struct nic_config config = {.publish_count = 1};
	struct sockaddr_in address = {
	        .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct bed bed;

	config.publish[0] =
	        (struct publish_config){INADDR_LOOPBACK, find_port(NULL), 5000, true};
	CU_ASSERT_FATAL(up(&bed, &config));
	address.sin_port = htons(config.publish[0].host);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	sendto(fd, "hello", 5, 0, (struct sockaddr *)&address, sizeof(address));
	CU_ASSERT_FATAL(receive_ip(&bed, IPPROTO_UDP));
	CU_ASSERT_EQUAL(get16(payload(&bed) + ETHERNET + 22), 5000);
	CU_ASSERT_EQUAL(memcmp(payload(&bed) + ETHERNET + 28, "hello", 5), 0);
	close(fd);
	down(&bed);
}

static void busy_port_is_refused(void)
{
	struct nic_config config = {.publish_count = 2};
	unsigned fds = open_fds();
	struct said said;
	int busy;
	struct bed bed;
	char port[16];

	config.publish[0] =
	        (struct publish_config){INADDR_LOOPBACK, find_port(NULL), 80, false};
	config.publish[1] =
	        (struct publish_config){INADDR_LOOPBACK, find_port(&busy), 81, false};
	said_begin(&said);
	CU_ASSERT_FALSE(up(&bed, &config));
	snprintf(port, sizeof(port), ":%u:", config.publish[1].host);
	CU_ASSERT(said_exactly(&said, port));
	CU_ASSERT_PTR_NOT_NULL(strstr(said.text, "choose another host port"));
	down(&bed);
	close(busy);
	CU_ASSERT(is_childless());
	CU_ASSERT_EQUAL(open_fds(), fds);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(mac_is_given_or_made_up),
	        UNIT(dhcp_offers_the_address),
	        UNIT(frames_are_reported_while_they_last),
	        UNIT(frames_that_nobody_takes_are_dropped),
	        UNIT(slow_process_blocks_nobody),
	        UNIT(frames_have_a_size),
	        UNIT(published_port_reaches_the_guest),
	        UNIT(udp_is_published_too),
	        UNIT(busy_port_is_refused),
	        {0},
	};
	return unit_run("nic_user", tests);
}
