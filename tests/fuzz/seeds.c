/* Runs a target whose choices come from dice.h without libFuzzer and without sanitizers, many times as fast:
 *
 *   authorisation_seeds SECONDS [SEED [CASES]]
 *
 * Case n of a seed is the same on every machine. Without SEED the clock gives one; a failure tells both, so that it can be repeated
 * with CASES 1.
 */
#include "fuzz.h"

#include <inttypes.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static uint64_t current;
static bool running;

static void tell(void)
{
	if (running)
		fprintf(stderr, "ERROR: repeat it with: 1 %" PRIu64 " 1\n", current);
	running = false;
}

static void on_signal(int signal_number)
{
	tell();
	_exit(128 + signal_number);
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL) * 1000003u + (uint64_t)getpid();
	uint64_t cases = argc > 3 ? strtoull(argv[3], NULL, 10) : UINT64_MAX, done = 0;
	time_t end = time(NULL) + (argc > 1 ? strtol(argv[1], NULL, 10) : 5);

	printf("seed %" PRIu64 "\n", seed);
	fflush(stdout);
	atexit(tell); /* cmocka's assertions exit */
	signal(SIGABRT, on_signal);
	signal(SIGSEGV, on_signal);
	for (running = true; done < cases && time(NULL) <= end; done++) {
		current = seed + done;
		LLVMFuzzerTestOneInput((const uint8_t *)&current, sizeof(current));
	}
	running = false;
	printf("%" PRIu64 " cases\n", done);
	return 0;
}
