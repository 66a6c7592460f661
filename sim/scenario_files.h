/* `mesh-sim scenario FILE.scn..`: plays scenario files and says whether each meets what it expects.
 * Exit: 0 all met; 1 an expectation is not met; 129 safety, 128 liveness; 2 a file or an option
 * makes no sense, or an output cannot be written. A crash ends the process by its signal. */
#ifndef SIM_SCENARIO_FILES_H
#define SIM_SCENARIO_FILES_H

int sim_scenario_main(int argc, char **argv);

#endif
