/* mesh-sim live: many agents of the real agent tier on the real runner, for load tests over a real
 * bus. Each simulated host is a port with a session key of its own. With delay = profile every
 * agent gets network delay both ways, loss, processing time, clock offset and drift by its class,
 * from the seed; with delay = none nothing is added. */
#ifndef SIM_LIVE_H
#define SIM_LIVE_H

/* argv[0] is not read; then --config FILE --name PROCESS and settings. An exit code. */
int sim_live_main(int argc, char **argv);

#endif
