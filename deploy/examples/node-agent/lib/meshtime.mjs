// Mesh time from the four timestamps of a beat (docs/PROTOCOL.md, Times). The estimate is the exchange with the
// shortest round trip of the last 8, as NTP filters its samples; the time that is served runs after it by 500 ppm at
// most, so it never jumps or runs back, unless it is off by more than a second.
const SAMPLES = 8,
    LOCK_SAMPLES = 3,
    SLEW = 500e-6,
    DRIFT = 100e-6,
    STEP_US = 1e6;
const RTT_US_MAX = 60e6,
    ERROR_US_MAX = 86400e6;

export const localUs = () => Number(process.hrtime.bigint() / 1000n);

export class MeshTime {
    constructor() {
        this.samples = [];
        this.count = 0;
        this.anchor = 0; // local time of the last correction
        this.offset = 0; // served then
        this.target = 0; // where it goes
    }

    // False: the exchange says nothing (a parent without time, a round trip that cannot be).
    exchange(t1, t2, t3, t4, parentOffset, parentError) {
        const rtt = t4 - t1 - (t3 - t2);
        if (
            !(parentError >= 0 && parentError <= ERROR_US_MAX) ||
            t4 < t1 ||
            t3 < t2 ||
            rtt < -100 ||
            rtt > RTT_US_MAX
        )
            return false;
        const before = this.known ? this.offsetAt(t4) : 0;
        this.samples.push({
            at: t4,
            rtt: Math.max(rtt, 0),
            error: parentError,
            offset: (t2 - t1 + (t3 - t4)) / 2 + parentOffset,
        });
        if (this.samples.length > SAMPLES) this.samples.shift();
        // Age counts: a clock drifts.
        const cost = (s) => s.rtt / 2 + (t4 - s.at) * DRIFT;
        this.best = this.samples.reduce((a, b) => (cost(b) <= cost(a) ? b : a));
        this.count++;
        const step = this.count <= LOCK_SAMPLES || Math.abs(this.best.offset - before) > STEP_US;
        this.anchor = t4;
        this.offset = step ? this.best.offset : before;
        this.target = this.best.offset;
        return true;
    }

    get known() {
        return this.count > 0;
    }

    get ready() {
        return this.count >= LOCK_SAMPLES;
    }

    offsetAt(local) {
        const most = Math.max(local - this.anchor, 0) * SLEW,
            gap = this.target - this.offset;
        return this.offset + Math.max(-most, Math.min(most, gap));
    }

    now(local = localUs()) {
        return Math.round(local + this.offsetAt(local));
    }

    toLocal(mesh) {
        let local = mesh - this.offsetAt(localUs());
        local = mesh - this.offsetAt(local);
        return Math.ceil(local);
    }

    // The bound on what now() is off by; 2^32 - 1 while there is no time.
    errorUs(local = localUs()) {
        if (!this.ready) return 4294967295;
        const s = this.best;
        const error =
            Math.abs(this.target - this.offsetAt(local)) +
            s.rtt / 2 +
            s.error +
            (local - s.at) * DRIFT +
            1;
        return Math.min(4294967295, Math.round(error));
    }
}
