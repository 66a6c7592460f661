# The class profiles of simulated agents as they are built in (sim/laws.h, docs/SIMULATION.md). Copy it,
# change it, and say deploy/up --delay FILE or tests/bench cascade --delay FILE.
#
# rtt_low_ms, rtt_high_ms  round trip of a host: even between them   misfit  processing against the class's base time
# sigma                    of the lognormal processing time          loss    share of frames lost, one way
CLASS_A_EDGE       rtt_low_ms=5   rtt_high_ms=20  misfit=1.3 sigma=0.15 loss=0.0001
CLASS_B_SERVERLESS rtt_low_ms=50  rtt_high_ms=150 misfit=0.8 sigma=0.3  loss=0.0005
CLASS_C_PERSISTENT rtt_low_ms=100 rtt_high_ms=300 misfit=1.2 sigma=0.3  loss=0.0005
CLASS_D_GPU        rtt_low_ms=200 rtt_high_ms=500 misfit=1.5 sigma=0.25 loss=0.001
CLASS_E_LOCAL      rtt_low_ms=20  rtt_high_ms=400 misfit=0.7 sigma=0.45 loss=0.003
CLASS_F_HUMAN      rtt_low_ms=50  rtt_high_ms=150 misfit=1.0 sigma=1.3  loss=0.001

# one way is (0.5 +- asymmetry/2) of a round trip; jitter: mean of Gamma(2), a share of the one-way delay;
# retransmit: share of frames that come 200 ms later and more; speed_sigma: agents among each other
all asymmetry=0.1 jitter=0.1 retransmit=0.003 speed_sigma=0.25
# processing grows by 1 + weight_slope x payload weight; a host's clock is up to so far off and drifts so much
all weight_slope=0.5 clock_offset_ms=50 clock_drift_ppm=50
