/* dns ADDRESS: a resolver at this address that answers every A question with 192.0.2.53 (RFC 1035, RFC 5737). */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

enum { HEADER = 12, TYPE_A = 1, PACKET_MAX = 512 };

static const unsigned char record[] = {
        0xc0,
        HEADER, /* the name: a pointer to the question's */
        0,
        TYPE_A,
        0,
        1, /* type, class */
        0,
        0,
        0,
        60,
        0,
        4, /* time to live, length */
        192,
        0,
        2,
        53,
};

/* The length of the answer, made in place of the question; 0 where there is none to make. */
static size_t answer(unsigned char *packet, size_t size)
{
	size_t end = HEADER;

	while (end < size && packet[end])
		end += packet[end] + 1u;
	if (end + 5 > size || end + 5 + sizeof(record) > PACKET_MAX)
		return 0;
	end += 5;
	packet[2] = 0x81; /* a response, recursion desired */
	packet[3] = 0x80; /* recursion available, no error */
	memset(packet + 6, 0, 6);
	if (packet[end - 3] != TYPE_A)
		return end;
	packet[7] = 1;
	memcpy(packet + end, record, sizeof(record));
	return end + sizeof(record);
}

int main(int argc, char **argv)
{
	struct sockaddr_in here = {
	        .sin_family = AF_INET,
	        .sin_port = htons(53),
	};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (argc != 2 || inet_pton(AF_INET, argv[1], &here.sin_addr) != 1)
		return 2;
	if (fd < 0 || bind(fd, (struct sockaddr *)&here, sizeof(here)) < 0)
		return 1;
	for (;;) {
		unsigned char packet[PACKET_MAX];
		struct sockaddr_in peer;
		socklen_t peer_size = sizeof(peer);
		ssize_t size = recvfrom(fd, packet, sizeof(packet), 0,
		        (struct sockaddr *)&peer, &peer_size);
		size_t reply = size > HEADER ? answer(packet, (size_t)size) : 0;

		if (reply)
			sendto(fd, packet, reply, 0, (struct sockaddr *)&peer,
			        peer_size);
	}
}
