// SPDX-License-Identifier: ISC
// A mailbox by inbucket-js-client: what its calls gave, as JSON.
// usage: node use.js MODULES URL NAME
const [modules, url, name] = process.argv.slice(2);
const { InbucketAPIClient } = require(modules + "/inbucket-js-client");
const client = new InbucketAPIClient(url);

(async () => {
	const out = { list: await client.mailbox(name) };
	const id = out.list[0].id;

	out.message = await client.message(name, id);
	out.removed = await client.deleteMessage(name, id);
	out.left = await client.mailbox(name);
	out.purged = await client.purgeMailbox(name);
	out.empty = await client.mailbox(name);
	out.nobody = await client.mailbox("nobody");
	out.gone = await client.message(name, id).then(() => "", e => e.message);
	console.log(JSON.stringify(out));
})().catch(e => {
	console.error(e);
	process.exit(1);
});
