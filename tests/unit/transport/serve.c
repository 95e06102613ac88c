/* Not a test: serves a relay without a database on the given port until it is told to end, for trying things by hand and for
 * measuring. Commands on standard input: `emit COUNT BYTES [USER]`, `quit`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay.h"

int main(int argc, char **argv)
{
	struct relay_options options = {.server = {.port = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0,
						.threads = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 1,
						.cert_file = argc > 4 ? argv[3] : NULL,
						.key_file = argc > 4 ? argv[4] : NULL}};
	struct relay *relay = relay_start(&options);
	char line[256], user[64];
	size_t count, bytes;
	int fields;

	printf("%d\n", relay_port(relay));
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) && strncmp(line, "quit", 4) != 0) {
		fields = sscanf(line, "emit %zu %zu %63s", &count, &bytes, user);
		if (fields >= 2)
			relay_emit(relay, fields == 3 ? user : NULL, count, bytes);
	}
	relay_stop(relay);
	return 0;
}
