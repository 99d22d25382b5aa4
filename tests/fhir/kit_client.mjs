// What a user of fhir-kit-client does, against a running hub: node kit_client.mjs <client's index.js> <FHIR base> <token> <patient id>
import assert from 'node:assert/strict';
import { pathToFileURL } from 'node:url';

const [, , library, baseUrl, token, patient] = process.argv;
const { default: Kit, Client = Kit } = await import(pathToFileURL(library).href);
const client = new Client({ baseUrl, bearerToken: token });
const device = { resourceType: 'Device', status: 'active', identifier: [{ system: 'urn:x', value: 'nr-1' }] };
const status = async (work) => work.then(() => 200, (error) => error.response?.status ?? error.status);

const statement = await client.capabilityStatement();
assert.equal(statement.fhirVersion, '4.0.1');

const made = await client.create({ resourceType: 'Device', body: device });
assert.equal(made.meta.versionId, '1');
assert.equal((await client.read({ resourceType: 'Device', id: made.id })).status, 'active');
await client.update({ resourceType: 'Device', id: made.id, body: { ...made, status: 'inactive' } });
const patched = await client.patch({
  resourceType: 'Device', id: made.id, jsonPatch: [{ op: 'replace', path: '/status', value: 'entered-in-error' }],
});
assert.deepEqual([patched.status, patched.meta.versionId], ['entered-in-error', '3']);
assert.equal((await client.vread({ resourceType: 'Device', id: made.id, version: '1' })).status, 'active');
assert.equal((await client.history({ resourceType: 'Device', id: made.id })).entry.length, 3);

const form = await client.search({
  resourceType: 'Device', searchParams: { identifier: 'urn:x|nr-1' }, options: { postSearch: true },
});
assert.equal(form.entry[0].resource.id, made.id);
let page = await client.search({ resourceType: 'Slot', searchParams: { schedule: 'Schedule/dagsenter', _count: '20', _total: 'accurate' } });
const total = page.total;
const seen = new Set();
while (page) {
  for (const entry of page.entry) seen.add(entry.resource.id);
  page = page.link.some((link) => link.relation === 'next') ? await client.nextPage({ bundle: page }) : null;
}
assert.ok(total > 20);
assert.equal(seen.size, total);
const within = await client.compartmentSearch({ resourceType: 'ServiceRequest', compartment: { resourceType: 'Patient', id: patient } });
assert.equal(within.type, 'searchset');
const everything = await client.operation({ name: 'everything', resourceType: 'Patient', id: patient, method: 'GET' });
assert.ok(everything.entry.some((entry) => entry.resource.id === patient));

const outcome = await client.operation({ name: 'validate', resourceType: 'Device', input: { ...device, status: 'bogus' } });
assert.deepEqual(outcome.issue[0].expression, ['Device.status']);
const transaction = await client.transaction({
  body: { resourceType: 'Bundle', type: 'transaction', entry: [{ request: { method: 'POST', url: 'Device' }, resource: device }] },
});
assert.equal(transaction.type, 'transaction-response');
const batch = await client.batch({
  body: { resourceType: 'Bundle', type: 'batch', entry: [{ request: { method: 'GET', url: `Device/${made.id}` } }] },
});
assert.equal(batch.entry[0].resource.id, made.id);

assert.equal(await status(client.create({ resourceType: 'Device', body: { ...device, status: 'bogus' } })), 422);
assert.equal(await status(client.read({ resourceType: 'Device', id: 'none' })), 404);
await client.delete({ resourceType: 'Device', id: made.id });
assert.equal(await status(client.read({ resourceType: 'Device', id: made.id })), 410);
const stranger = new Client({ baseUrl, bearerToken: 'wrong' });
assert.equal(await status(stranger.search({ resourceType: 'Device' })), 401);
console.log('whole');
