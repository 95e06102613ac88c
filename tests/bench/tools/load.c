/* The clients of the network benchmarks: one process, one epoll loop, ten thousand connections. It speaks just enough of
 * websocket, server-sent events, Socket.IO and NATS to subscribe, and then looks for marks in what comes, whatever the frames
 * around them: `@` + 19 digits of CLOCK_MONOTONIC + `:` + 8 digits that count the events + `@`. So every delivery is counted, its
 * latency is known, and a connection that misses an event or gets one twice is noticed. It publishes, too: in a closed loop (the
 * next batch when all have the one before), or at a rate.
 *
 * A line on stdin is a command, words with a tab between, NAME KEY=VALUE ..; the answer is a line of JSON.
 *   open port n path [headers] [greet] [hello] [ready] [per] [concurrency] [tokens] [first]
 *        %d in path: the connection's number, %t: its line of the file `tokens`, the `first` of them apart.
 *        When `greet` has come behind the head, the websocket message `hello` is sent (%d, %t as above); subscribed it is when
 *        `ready` has come. per: how often each event comes.
 *   publisher port kind [path]   lines (`* TEXT` or `USER TEXT`, `.` ends a batch), http (path%s: a POST each), nats
 *   warm                         publishes until everybody got an event
 *   run seconds burst size [window] [rate] [routed]
 *   storm seconds rate size away concurrency path journal base
 *        all connections are cut after a third of the time and come back `away` seconds later; %a in path is then `journal`:`base` + the last event that each got
 *   drop                         all connections are reset
 */
#define _GNU_SOURCE
#include "load.h"
#include "publisher.h"
#include "words.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum state { CLOSED, CONNECTING, HEAD, GREETING, WAITING, READY };

struct conn {
	int fd;
	uint8_t state, hit; /* hit: how much of what we wait for has come */
	struct mark mark;
	uint64_t next; /* of the events, times `per` */
};

static struct {
	struct conn *conns;
	int n, opened, ready, failed, port, concurrency, connecting, first;
	uint32_t per;
	char path[1024], headers[1024], greet[256], hello[1024], wanted[256], journal[64];
	uint64_t base;
	char **tokens;
	size_t token_count;
} crowd = {.per = 1};

static struct {
	uint64_t deliveries, gaps, repeats, bytes, pieces;
	struct histogram latency;
} tally;

static int loop, timer;
static char inbox[1 << 20];
static struct conn publisher_mark, timer_mark;

static void die(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	fprintf(stderr, "load: ");
	vfprintf(stderr, format, list);
	fprintf(stderr, "\n");
	va_end(list);
	exit(1);
}

static void watch(int op, int fd, uint32_t events, void *what)
{
	struct epoll_event event = {.events = events, .data.ptr = what};

	if (epoll_ctl(loop, op, fd, &event) < 0)
		die("epoll_ctl: %s", strerror(errno));
}

static int connect_to(int port, bool wait)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (wait ? 0 : SOCK_NONBLOCK), 0), one = 1;

	if (fd < 0)
		die("socket: %s", strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS) {
		close(fd);
		return -1;
	}
	return fd;
}

/* A reset: what is closed orderly keeps its port for a minute, and the ports would run out. */
static void cut(struct conn *conn)
{
	struct linger hard = {.l_onoff = 1};

	if (conn->state == CLOSED)
		return;
	if (conn->state == READY)
		crowd.ready--;
	else
		crowd.connecting--;
	setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(conn->fd);
	conn->state = CLOSED;
}

static void fail(struct conn *conn)
{
	cut(conn);
	crowd.failed++;
}

/* -- subscribing -- */

/* %d, %t and %a filled in. */
static size_t fill(char *out, size_t room, const char *format, const struct conn *conn)
{
	size_t index = (size_t)(conn - crowd.conns), len = 0;

	for (const char *p = format; *p && len + 600 < room; p++) {
		if (*p == '%' && p[1] == 'd')
			len += (size_t)sprintf(out + len, "%zu", index), p++;
		else if (*p == '%' && p[1] == 't' && crowd.token_count)
			len += (size_t)snprintf(out + len, 512, "%s", crowd.tokens[(index + (size_t)crowd.first) % crowd.token_count]), p++;
		else if (*p == '%' && p[1] == 'a')
			len += (size_t)sprintf(out + len, "%s:%llu", crowd.journal, (unsigned long long)(crowd.base + conn->next / crowd.per - 1)), p++;
		else
			out[len++] = *p;
	}
	out[len] = 0;
	return len;
}

static void ask(struct conn *conn)
{
	char path[2048], request[4096];
	int len;

	fill(path, sizeof(path), crowd.path, conn);
	len = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n", path, crowd.headers);
	if (send(conn->fd, request, (size_t)len, MSG_NOSIGNAL) != len) {
		fail(conn);
		return;
	}
	conn->state = HEAD;
	conn->hit = 0;
	watch(EPOLL_CTL_MOD, conn->fd, EPOLLIN, conn);
}

/* A websocket message of a client, under a mask of zeros. */
static void say_hello(struct conn *conn)
{
	char text[2048], frame[2064];
	size_t len = fill(text, sizeof(text), crowd.hello, conn), head = 2;

	frame[0] = (char)0x81;
	if (len < 126) {
		frame[1] = (char)(0x80 | len);
	} else {
		frame[1] = (char)(0x80 | 126);
		frame[head++] = (char)(len >> 8);
		frame[head++] = (char)len;
	}
	memset(frame + head, 0, 4);
	memcpy(frame + head + 4, text, len);
	if (send(conn->fd, frame, head + 4 + len, MSG_NOSIGNAL) != (ssize_t)(head + 4 + len))
		fail(conn);
}

/* Behind the end of `what`, or NULL: not all of it has come. */
static const char *seek(struct conn *conn, const char *p, const char *end, const char *what)
{
	for (; what[conn->hit]; p++) {
		if (p == end)
			return NULL;
		conn->hit = *p == what[conn->hit] ? conn->hit + 1 : *p == what[0];
	}
	conn->hit = 0;
	return p;
}

/* The way to READY; what lies behind it, or NULL. */
static const char *advance(struct conn *conn, const char *p, const char *end)
{
	if (conn->state == HEAD) {
		if (p + 12 < end && !strncmp(p, "HTTP/1.1 ", 9) && strncmp(p + 9, "101", 3) && strncmp(p + 9, "200", 3)) {
			if (!crowd.failed)
				fprintf(stderr, "load: %.*s\n", (int)(end - p > 300 ? 300 : end - p), p);
			fail(conn);
			return NULL;
		}
		if (!(p = seek(conn, p, end, "\r\n\r\n")))
			return NULL;
		conn->state = GREETING;
	}
	if (conn->state == GREETING) {
		if (!(p = seek(conn, p, end, crowd.greet)))
			return NULL;
		conn->state = WAITING;
		if (crowd.hello[0])
			say_hello(conn);
	}
	if (conn->state != WAITING || !(p = seek(conn, p, end, crowd.wanted)))
		return NULL;
	conn->state = READY;
	crowd.connecting--;
	crowd.ready++;
	return p;
}

/* -- deliveries -- */

static void delivered(struct conn *conn, uint64_t stamp, uint64_t seq, uint64_t now)
{
	tally.deliveries++;
	histogram_add(&tally.latency, now > stamp ? now - stamp : 0);
	if (!seq) /* to one of many: its own are not numbered */
		return;
	if (seq == conn->next / crowd.per) {
		conn->next++;
	} else if (seq > conn->next / crowd.per) {
		tally.gaps += seq - conn->next / crowd.per;
		conn->next = seq * crowd.per + 1;
	} else {
		tally.repeats++;
	}
}

static void receive(struct conn *conn)
{
	ssize_t n = recv(conn->fd, inbox, sizeof(inbox), MSG_DONTWAIT);
	const char *p = inbox, *end = inbox + n;
	uint64_t now, stamp, seq;

	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			fail(conn);
		return;
	}
	if (conn->state != READY && !(p = advance(conn, p, end)))
		return;
	now = clock_ns();
	tally.bytes += (uint64_t)(end - p);
	tally.pieces++;
	while ((p = mark_next(&conn->mark, p, end, &stamp, &seq)))
		delivered(conn, stamp, seq, now);
}

/* -- publishing -- */

static void out_go(void)
{
	while (pub.at < pub.len) {
		ssize_t n = send(pub.fd, pub.out + pub.at, pub.len - pub.at, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			die("the publisher's connection: %s", strerror(errno));
		if (n < 0)
			break;
		pub.at += (size_t)n;
	}
	if (pub.at == pub.len)
		pub.at = pub.len = 0;
	watch(EPOLL_CTL_MOD, pub.fd, pub.len ? EPOLLIN | EPOLLOUT : EPOLLIN, &publisher_mark);
}

/* Answers are not looked at: what counts is what arrives. */
static void publisher_event(uint32_t events)
{
	if (events & EPOLLIN) {
		ssize_t n = recv(pub.fd, inbox, sizeof(inbox), MSG_DONTWAIT);

		if (n == 0)
			die("the publisher's connection was closed");
		if (pub.kind == 'n' && n > 3 && memmem(inbox, (size_t)n, "PING", 4))
			out_add("PONG\r\n", 6);
	}
	out_go();
}

/* The users of routed events follow each other in a stride that is no pattern of memory's. */
static void publish(int burst, int size, bool routed)
{
	char *text = malloc((size_t)size + MARK + 1);
	uint64_t now = clock_ns();

	memset(text, 'x', (size_t)size + MARK);
	for (int i = 0; i < burst; i++) {
		int user = -1;
		char mark[MARK + 1];

		if (routed)
			user = (int)((pub.user++ * 7919ULL) % (uint64_t)crowd.n);
		snprintf(mark, sizeof(mark), "@%019llu:%08llu@", (unsigned long long)now, (unsigned long long)(routed ? 0 : ++pub.seq));
		memcpy(text, mark, MARK);
		publish_one(user, text, size < MARK ? MARK : (size_t)size);
	}
	if (pub.kind == 'l')
		out_add(".\n", 2);
	free(text);
	out_go();
}

/* -- the loop -- */

static bool ticked;

static void open_more(void)
{
	while (crowd.opened < crowd.n && crowd.connecting < crowd.concurrency) {
		struct conn *conn = &crowd.conns[crowd.opened++];

		memset(&conn->mark, 0, sizeof(conn->mark));
		conn->fd = connect_to(crowd.port, false);
		if (conn->fd < 0) {
			crowd.failed++;
			continue;
		}
		conn->state = CONNECTING;
		crowd.connecting++;
		watch(EPOLL_CTL_ADD, conn->fd, EPOLLOUT, conn);
	}
}

static void turn(int timeout_ms)
{
	static struct epoll_event events[512];
	int n = epoll_wait(loop, events, 512, timeout_ms);
	uint64_t ticks;

	for (int i = 0; i < n; i++) {
		struct conn *conn = events[i].data.ptr;

		if (conn == &publisher_mark)
			publisher_event(events[i].events);
		else if (conn == &timer_mark)
			ticked = read(timer, &ticks, sizeof(ticks)) > 0;
		else if (conn->state == CONNECTING)
			ask(conn);
		else if (conn->state != CLOSED)
			receive(conn);
	}
	open_more();
}

static void begin_count(void)
{
	memset(&tally, 0, sizeof(tally));
	for (int i = 0; i < crowd.n; i++)
		crowd.conns[i].next = (pub.seq + 1) * crowd.per;
}

static void tell_tally(void)
{
	printf("\"deliveries\":%llu,\"gaps\":%llu,\"repeats\":%llu,\"bytes\":%llu,\"pieces\":%llu,\"failed\":%d,\"p50\":%llu,\"p99\":%llu,\"p999\":%llu,\"max\":%llu}\n",
		(unsigned long long)tally.deliveries, (unsigned long long)tally.gaps, (unsigned long long)tally.repeats,
		(unsigned long long)tally.bytes, (unsigned long long)tally.pieces, crowd.failed,
		(unsigned long long)histogram_at(&tally.latency, 0.5), (unsigned long long)histogram_at(&tally.latency, 0.99),
		(unsigned long long)histogram_at(&tally.latency, 0.999), (unsigned long long)tally.latency.max);
}

/* -- commands -- */

static void read_tokens(const char *name)
{
	FILE *file = fopen(name, "r");
	char *line = NULL;
	size_t room = 0;

	if (!file)
		die("%s: %s", name, strerror(errno));
	while (getline(&line, &room, file) > 0) {
		line[strcspn(line, "\r\n")] = 0;
		crowd.tokens = realloc(crowd.tokens, (crowd.token_count + 1) * sizeof(char *));
		crowd.tokens[crowd.token_count++] = strdup(line);
	}
	free(line);
	fclose(file);
}

static void open_all(double seconds)
{
	uint64_t end = clock_ns() + (uint64_t)(seconds * 1e9);

	crowd.opened = crowd.failed = 0;
	open_more();
	while (crowd.ready + crowd.failed < crowd.n && clock_ns() < end)
		turn(100);
}

static void do_open(void)
{
	uint64_t begun;

	free(crowd.conns);
	crowd.n = (int)number("n", 1);
	crowd.conns = calloc((size_t)crowd.n, sizeof(*crowd.conns));
	crowd.port = (int)number("port", 0);
	crowd.first = (int)number("first", 0);
	crowd.per = (uint32_t)number("per", 1);
	crowd.concurrency = (int)number("concurrency", 100);
	take(crowd.path, sizeof(crowd.path), "path");
	take(crowd.headers, sizeof(crowd.headers), "headers");
	take(crowd.greet, sizeof(crowd.greet), "greet");
	take(crowd.hello, sizeof(crowd.hello), "hello");
	take(crowd.wanted, sizeof(crowd.wanted), "ready");
	if (word("tokens", NULL) && !crowd.token_count)
		read_tokens(word("tokens", NULL));
	crowd.ready = crowd.connecting = 0;
	begun = clock_ns();
	open_all(number("timeout", 60));
	printf("{\"ready\":%d,\"failed\":%d,\"ns\":%llu}\n", crowd.ready, crowd.failed, (unsigned long long)(clock_ns() - begun));
}

static void drop_all(void)
{
	for (int i = 0; i < crowd.n; i++)
		cut(&crowd.conns[i]);
}

static void do_drop(void)
{
	drop_all();
	printf("{\"ready\":%d}\n", crowd.ready);
}

static void do_publisher(void)
{
	if (pub.fd >= 0)
		close(pub.fd);
	pub.kind = word("kind", "lines")[0];
	take(pub.path, sizeof(pub.path), "path");
	pub.fd = connect_to((int)number("port", 0), true);
	if (pub.fd < 0)
		die("the publisher's connection to port %d: %s", (int)number("port", 0), strerror(errno));
	watch(EPOLL_CTL_ADD, pub.fd, EPOLLIN, &publisher_mark);
	if (pub.kind == 'n')
		out_add("CONNECT {\"verbose\":false}\r\n", 27);
	out_go();
	printf("{}\n");
}

/* Until so many deliveries were made, or none came for that long. */
static bool wait_for(uint64_t deliveries, double patience)
{
	uint64_t seen = tally.deliveries, since = clock_ns();

	while (tally.deliveries < deliveries && clock_ns() < since + (uint64_t)(patience * 1e9)) {
		turn(20);
		if (tally.deliveries != seen) {
			seen = tally.deliveries;
			since = clock_ns();
		}
	}
	return tally.deliveries == deliveries;
}

/* A subscription may take effect a moment after its answer. */
static void do_warm(void)
{
	bool all = false;

	for (int i = 0; !all && i < 20; i++) {
		begin_count();
		publish(1, MARK, false);
		all = wait_for((uint64_t)crowd.ready * crowd.per, 1);
	}
	printf("{\"all\":%s,\"seq\":%llu}\n", all ? "true" : "false", (unsigned long long)pub.seq);
}

static void set_timer(double rate)
{
	long ns = rate > 0 ? (long)(1e9 / rate) : 0;
	struct itimerspec every = {{ns / 1000000000, ns % 1000000000}, {ns / 1000000000, ns % 1000000000}};

	timerfd_settime(timer, 0, &every, NULL);
	ticked = false;
}

static void do_run(void)
{
	int burst = (int)number("burst", 1), size = (int)number("size", 200);
	bool routed = number("routed", 0) != 0;
	double rate = number("rate", 0), window = number("window", 1);
	uint64_t each = (uint64_t)burst * (routed ? 1 : (uint64_t)crowd.ready) * crowd.per, batches = 0, expected = 0;
	uint64_t begun, stop;

	begin_count();
	set_timer(rate);
	begun = clock_ns();
	stop = begun + (uint64_t)(number("seconds", 1) * 1e9);
	while (clock_ns() < stop) {
		if (rate > 0 ? ticked : (double)tally.deliveries > (double)expected - window * (double)each) {
			ticked = false;
			publish(burst, size, routed);
			batches++;
			expected += each;
		} else {
			turn(20);
		}
		if (rate <= 0 && window > 1)
			turn(0);
	}
	set_timer(0);
	wait_for(expected, 15);
	printf("{\"ns\":%llu,\"batches\":%llu,\"expected\":%llu,", (unsigned long long)(clock_ns() - begun), (unsigned long long)batches, (unsigned long long)expected);
	tell_tally();
}

/* Since they were let back: when the last is there, and when nobody lacks anything of what there is. */
static void do_storm(void)
{
	double seconds = number("seconds", 3), rate = number("rate", 10), away = number("away", 1);
	uint64_t begun = clock_ns(), cut_at = begun + (uint64_t)(seconds / 3 * 1e9), stop = begun + (uint64_t)(seconds * 1e9);
	uint64_t dropped = 0, let = 0, back = 0, caught_up = 0, first = pub.seq, end = stop + 60000000000ULL;

	take(crowd.path, sizeof(crowd.path), "path");
	take(crowd.journal, sizeof(crowd.journal), "journal");
	crowd.base = strtoull(word("base", "0"), NULL, 10);
	crowd.concurrency = (int)number("concurrency", crowd.concurrency);
	begin_count();
	set_timer(rate);
	for (uint64_t now = begun; now < end; now = clock_ns()) {
		if (ticked && now < stop) {
			ticked = false;
			publish(1, (int)number("size", 200), false);
		}
		if (!dropped && now >= cut_at) {
			drop_all();
			dropped = clock_ns();
		}
		if (dropped && !let && now >= dropped + (uint64_t)(away * 1e9)) {
			let = clock_ns();
			crowd.opened = crowd.failed = 0;
			open_more();
		}
		turn(5);
		if (let && !back && crowd.ready == crowd.n)
			back = clock_ns();
		if (back && !caught_up && tally.deliveries >= (pub.seq - first) * (uint64_t)crowd.n * crowd.per)
			caught_up = clock_ns();
		if (caught_up && now >= stop && tally.deliveries >= (pub.seq - first) * (uint64_t)crowd.n * crowd.per)
			break;
	}
	set_timer(0);
	printf("{\"back\":%llu,\"caughtUp\":%llu,\"expected\":%llu,\"ready\":%d,", (unsigned long long)(back ? back - let : 0),
		(unsigned long long)(caught_up ? caught_up - let : 0), (unsigned long long)((pub.seq - first) * (uint64_t)crowd.n * crowd.per), crowd.ready);
	tell_tally();
}

static void command(char *line)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} commands[] = {{"open", do_open}, {"drop", do_drop}, {"publisher", do_publisher}, {"warm", do_warm}, {"run", do_run}, {"storm", do_storm}};

	words_split(line);
	for (size_t i = 0; word_count && i < sizeof(commands) / sizeof(*commands); i++) {
		if (!strcmp(words[0], commands[i].name)) {
			commands[i].run();
			fflush(stdout);
			return;
		}
	}
	die("there is no command \"%s\"", word_count ? words[0] : "");
}

int main(void)
{
	struct rlimit files;
	char *line = NULL;
	size_t room = 0;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	loop = epoll_create1(EPOLL_CLOEXEC);
	timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	watch(EPOLL_CTL_ADD, timer, EPOLLIN, &timer_mark);
	while (getline(&line, &room, stdin) > 0) {
		line[strcspn(line, "\n")] = 0;
		command(line);
	}
	return 0;
}
