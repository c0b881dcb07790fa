/*
 * An HTTP server: GET / says hello, GET /exit/7 says so and leaves with status 7.
 * One request a connection; whatever comes, the pools of lwipopts.h bound the memory.
 */
#include <lwip/mem.h>
#include <lwip/tcp.h>
#include <string.h>

#include "guest.h"
#include "mayfly.h"
#include "net.h"

MAYFLY_NEEDS(MAYFLY_NEEDS_IRQCHIP | MAYFLY_NEEDS_ADDRESS);

#define PORT 80

#define POLL_INTERVAL 4 /* in TCP's coarse ticks of 500 ms */
#define POLLS_MAX     5 /* so a silent client is dropped after some 10 s */

struct request {
	char line[24]; /* its start: all that we look at */
	uint8_t size;
	uint8_t polls;
	uint32_t tail; /* the last four bytes so far */
};

#define RESPONSE(status, size, body)    \
	"HTTP/1.1 " status "\r\n"       \
	"Content-Type: text/plain\r\n"  \
	"Content-Length: " #size "\r\n" \
	"Connection: close\r\n"         \
	"\r\n" body

static const char hello[] = RESPONSE("200 OK", 28, "Hello from Mayfly over HTTP\n");
static const char bye[] = RESPONSE("200 OK", 4, "Bye\n");
static const char not_found[] = RESPONSE("404 Not Found", 10, "Not found\n");

static unsigned exit_status;

static err_t exit_sent(void *argument, struct tcp_pcb *pcb, u16_t size)
{
	(void)argument, (void)pcb, (void)size;
	guest_exit(exit_status);
}

static void exit_failed(void *argument, err_t error)
{
	(void)argument, (void)error;
	guest_exit(exit_status);
}

static void request_failed(void *argument, err_t error)
{
	(void)error;
	mem_free(argument);
}

/* Ends the connection after what was written; ERR_ABRT when lwIP has lost it. */
static err_t connection_close(struct tcp_pcb *pcb, struct request *request)
{
	mem_free(request);
	tcp_arg(pcb, NULL);
	tcp_recv(pcb, NULL);
	tcp_err(pcb, NULL);
	tcp_poll(pcb, NULL, 0);
	if (tcp_close(pcb) == ERR_OK)
		return ERR_OK;
	tcp_abort(pcb);
	return ERR_ABRT;
}

static err_t request_answer(struct tcp_pcb *pcb, struct request *request)
{
	const char *response = not_found, *end;
	size_t size = sizeof(not_found) - 1;
	bool exits = false;
	err_t error;

	if (!memcmp(request->line, "GET / ", 6)) {
		response = hello;
		size = sizeof(hello) - 1;
	} else if (!memcmp(request->line, "GET /exit/", 10)) {
		exit_status = (unsigned)number_parse(request->line + 10, &end);
		response = bye;
		size = sizeof(bye) - 1;
		exits = true;
	}

	/* Data and FIN leave in one segment: TCP sends when we return to it. */
	tcp_write(pcb, response, (u16_t)size, 0);
	error = connection_close(pcb, request);
	if (exits && error == ERR_OK) {
		tcp_sent(pcb, exit_sent); /* when it has arrived */
		tcp_err(pcb, exit_failed);
	}
	return error;
}

/*
 * A client that asks for one thing ends its last segment with the empty line, so to
 * look at each segment's end finds the request's without reading all of it.
 */
static void request_add(struct request *request, const struct pbuf *data)
{
	u16_t room = (u16_t)(sizeof(request->line) - 1 - request->size);
	u16_t last = data->tot_len < 4 ? data->tot_len : 4;
	uint8_t bytes[4];

	request->size += (uint8_t)pbuf_copy_partial(
	        data, request->line + request->size, room, 0);
	pbuf_copy_partial(data, bytes, last, (u16_t)(data->tot_len - last));
	for (unsigned n = 0; n < last; n++)
		request->tail = request->tail << 8 | bytes[n];
	request->polls = 0;
}

static err_t on_receive(
        void *argument, struct tcp_pcb *pcb, struct pbuf *data, err_t error)
{
	const uint32_t empty_line = 0x0d0a0d0a;
	struct request *request = argument;

	(void)error;
	if (!data)
		return connection_close(pcb, request);
	request_add(request, data);
	tcp_recved(pcb, data->tot_len);
	pbuf_free(data);
	return request->tail == empty_line ? request_answer(pcb, request) : ERR_OK;
}

static err_t on_poll(void *argument, struct tcp_pcb *pcb)
{
	struct request *request = argument;

	if (++request->polls < POLLS_MAX)
		return ERR_OK;
	tcp_abort(pcb); /* which calls request_failed() */
	return ERR_ABRT;
}

static err_t on_accept(void *argument, struct tcp_pcb *pcb, err_t error)
{
	struct request *request;

	(void)argument;
	if (error != ERR_OK || !pcb)
		return ERR_VAL;
	request = mem_calloc(1, sizeof(*request));
	if (!request)
		return ERR_MEM;
	tcp_arg(pcb, request);
	tcp_recv(pcb, on_receive);
	tcp_err(pcb, request_failed);
	tcp_poll(pcb, on_poll, POLL_INTERVAL);
	return ERR_OK;
}

static void on_address(const char *address)
{
	struct tcp_pcb *pcb = tcp_new();

	if (!pcb || tcp_bind(pcb, IP_ADDR_ANY, PORT) != ERR_OK) {
		print("http: cannot listen\n");
		guest_exit(1);
	}
	pcb = tcp_listen(pcb);
	tcp_accept(pcb, on_accept);
	print("http: listening on %s:%d\n", address, PORT);
	guest_mark(MAYFLY_MARK_APPLICATION);
}

int main(void)
{
	int error = net_open(on_address);

	if (error) {
		print("http: no usable network device, error %d\n", error);
		return 2;
	}
	net_run();
}
