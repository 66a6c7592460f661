#!/usr/bin/env node
// An agent of a mesh in JavaScript. See README.md.
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { connect, Events } from 'nats';
import { identityLoad, scopeHas } from './lib/keys.mjs';
import { Agent } from './lib/agent.mjs';

const USAGE =
    'usage: agent.mjs --config mesh.conf --name PROCESS --place s01.c1.a1 [--class A..F] [--capabilities LIST] [--handlers FILE]';
const CLASSES = { A: 1, B: 2, C: 3, D: 4, E: 5, F: 6 };
const DEFAULTS = {
    A: 'routing,transform,cache',
    B: 'api,database,integration',
    C: 'reasoning,batch,training',
    D: 'embedding,inference,vision',
    E: 'sensor,local-state,physical',
    F: 'decision,review,oversight',
};

function fail(text, code = 1) {
    process.stderr.write(`agent.mjs: ${text}\n`);
    process.exit(code);
}

function log(event, fields) {
    const rest = Object.entries(fields)
        .map(([k, v]) => ` ${k}=${v}`)
        .join('');
    process.stderr.write(`${new Date().toISOString()} ${event}${rest}\n`);
}

function options() {
    const text = { type: 'string' };
    let values;
    try {
        ({ values } = parseArgs({
            options: {
                config: text,
                name: text,
                place: text,
                class: text,
                capabilities: text,
                handlers: text,
            },
        }));
    } catch (error) {
        fail(`${error.message}\n${USAGE}`, 2);
    }
    for (const key of ['config', 'name', 'place'])
        if (!values[key]) fail(`--${key} is missing\n${USAGE}`, 2);
    const place = /^s(\d{1,4})\.c(\d{1,2})\.a(\d{1,2})$/.exec(values.place);
    if (!place) fail(`--place: '${values.place}' is no agent's place; one looks like s01.c1.a1`, 2);
    const agentClass = values.class ?? 'C';
    if (!CLASSES[agentClass]) fail(`--class: '${agentClass}' is none of A, B, C, D, E, F`, 2);
    return {
        ...values,
        placeName: values.place,
        place: { sector: Number(place[1]), cluster: Number(place[2]), agent: Number(place[3]) },
        agentClass: CLASSES[agentClass],
        capabilities: (values.capabilities ?? DEFAULTS[agentClass]).split(',').filter(Boolean),
    };
}

// The [mesh] section: nats_url, keys_dir, simulation.
function settings(file) {
    const values = {};
    let section = '';
    for (const line of fs.readFileSync(file, 'utf8').split('\n')) {
        const head = /^\[(.*)\]\s*$/.exec(line),
            pair = /^([a-z_]+)\s*=\s*(.*?)\s*$/.exec(line);
        if (head) section = head[1];
        else if (pair && section === 'mesh') values[pair[1]] = pair[2];
    }
    for (const key of ['nats_url', 'keys_dir'])
        if (!values[key]) throw new Error(`${file}: [mesh] has no ${key}`);
    if (!values.nats_url.startsWith('tls://'))
        throw new Error(
            `${file}: nats_url '${values.nats_url}' is not tls://; this agent takes no other`,
        );
    return { ...values, keys_dir: path.resolve(path.dirname(file), values.keys_dir) };
}

// A lead drops the HELLO of an agent that offers more than its certificate has, without a word: so
// say it here. Bit i of a certificate is name i of the mesh's list: the defaults of the classes, then
// what the configuration adds.
function checkCapabilities(conf, names, cert, name) {
    const list = Object.values(DEFAULTS).flatMap((of) => of.split(','));
    for (const added of (conf.capabilities ?? '').split(',')) {
        const one = added.split(':')[0].trim();
        if (one && !list.includes(one)) list.push(one);
    }
    for (const one of names) {
        const bit = list.indexOf(one);
        if (bit < 0) throw new Error(`'${one}' is no capability of this mesh: ${list.join(', ')}`);
        if (((cert.capabilities >> BigInt(bit)) & 1n) === 0n)
            throw new Error(
                `the certificate of ${name} does not have '${one}' (bit ${bit}); ` +
                    'issue one that does, or offer less with --capabilities',
            );
    }
}

// New keys and certificates are taken up while the agent runs. The files are replaced one after the other, so what does
// not fit together yet is looked at again; a new link to NATS reads its files anew by itself.
function watchKeys(conf, name, agent) {
    const take = (left) => {
        try {
            agent.endpoint.replaceIdentity(identityLoad(conf.keys_dir, name));
            log('new-certificate', { epoch: agent.endpoint.identity.cert.epoch });
        } catch (error) {
            if (left > 0) setTimeout(() => take(left - 1), 200);
            else log('certificate-refused', { why: error.message });
        }
    };
    fs.watchFile(path.join(conf.keys_dir, `${name}.cert`), { interval: 250 }, () => take(10));
}

// The first link; the library keeps it from then on, and reads the TLS files anew for each attempt.
async function link(conf, identity, name) {
    for (;;) {
        try {
            return await connect({
                servers: conf.nats_url.replace('tls://', ''),
                name,
                maxReconnectAttempts: -1,
                reconnectTimeWait: 200,
                reconnectJitter: 300,
                reconnectJitterTLS: 300,
                pingInterval: 2000,
                maxPingOut: 2,
                noEcho: true,
                tls: { ...identity.tls, servername: 'nats.mesh' },
            });
        } catch (error) {
            log('bus', { url: conf.nats_url, error: error.message });
            await sleep(1000);
        }
    }
}

async function main() {
    const o = options();
    let conf, identity, handlers;
    try {
        conf = settings(o.config);
        identity = identityLoad(conf.keys_dir, o.name);
        checkCapabilities(conf, o.capabilities, identity.cert, o.name);
        handlers = (
            await import(
                pathToFileURL(
                    path.resolve(o.handlers ?? new URL('handlers.mjs', import.meta.url).pathname),
                ).href
            )
        ).default;
    } catch (error) {
        fail(error.message);
    }
    if (!scopeHas(identity.cert.scope, { tier: 4, ...o.place }))
        fail(
            `the certificate of ${o.name} does not cover ${o.placeName}; issue one that does: mesh keys issue`,
        );

    const nats = await link(conf, identity, o.name);
    const agent = new Agent({
        identity,
        keysDir: conf.keys_dir,
        place: o.place,
        agentClass: o.agentClass,
        capabilities: o.capabilities,
        handlers,
        simulation: conf.simulation === 'true',
        log,
        revoked: () =>
            fail(
                `the certificate of ${o.name} is revoked; a new key is good again: mesh keys rotate`,
            ),
        publish: (subject, bytes) => nats.publish(subject, bytes),
    });
    watchKeys(conf, o.name, agent);
    for (const subject of [`mesh.p.${o.name}.>`, 'mesh.all.>']) {
        nats.subscribe(subject, {
            callback: (error, m) => {
                if (error) log('bus', { error: error.message });
                else agent.frame(m.subject, Buffer.from(m.data));
            },
        });
    }
    await nats.flush();
    agent.link(true);

    let leaving = false;
    const leave = async () => {
        if (leaving) return;
        leaving = true;
        agent.goodbye();
        await nats.flush().catch(() => {});
        await nats.close();
        process.exit(0);
    };
    process.on('SIGTERM', leave);
    process.on('SIGINT', leave);
    for await (const status of nats.status()) {
        if (status.type === Events.Disconnect) agent.link(false);
        if (status.type === Events.Reconnect) agent.link(true);
        if (status.type === Events.Error) log('bus', { error: status.data });
    }
}

await main();
