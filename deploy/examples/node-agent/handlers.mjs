// The actions of this agent: name -> {run(payload, context), release(payload, context)}.
//
// run returns the answer (text or bytes, 1,024 at most are sent) or throws (FAILED, with the error's
// text). In the context are: signal, aborted at the operation's end of life and when it is cancelled;
// word(text), which tells the lead where the work stands; conflict(expected, received), which ends
// it as a CONFLICT; operation, the MeshMessage. release, if there is one, is the effect of an operation
// "at T": it is called at T, by mesh time.
import os from 'node:os';
import fs from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

const journal = process.env.MESH_JOURNAL; // of the conformance kit: a line for each run of `append`

export default {
    echo: { run: async (payload) => payload },
    facts: {
        run: async () =>
            JSON.stringify({
                runtime: `node ${process.version}`,
                os: os.type(),
                cpus: os.cpus().length,
            }),
    },
    wait: {
        async run(payload, { signal, word }) {
            const ms = Number(payload.toString());
            if (!(ms >= 0 && ms <= 3600000))
                throw new Error('wait: the payload is a number of milliseconds from 0 to 3600000');
            word(`waiting for ${ms} ms`);
            await sleep(ms, undefined, { signal });
            return 'waited';
        },
    },
    ...(journal
        ? { append: { run: async (payload) => fs.appendFile(journal, `${payload}\n`) } }
        : {}),
};
