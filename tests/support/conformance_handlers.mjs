// What tests/conformance asks an agent to be able to do (its usage says it), for the Node agent.
import fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const append = (payload) => fs.appendFileSync(process.env.MESH_JOURNAL, `${payload}\n`);

export default {
    echo: { run: async (payload) => payload },
    append: { run: async (payload) => append(payload) },
    differ: { run: async (payload, { conflict }) => conflict('something else', payload) },
    fail: {
        async run() {
            throw new Error('no such luck');
        },
    },
    late: {
        async run(payload, { signal }) {
            await sleep(800, undefined, { signal });
            append(payload);
        },
    },
};
