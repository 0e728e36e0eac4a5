// SPDX-License-Identifier: ISC
// A person adds accounts elsewhere that sign in by OAuth, each from the address
// alone; and lets the browser be told of new mail. PUSH: the subscription that a
// push service would give, as JSON.
import assert from "node:assert/strict";
import { ask, end, go, launch, open, root, shot, signIn } from "./person.mjs";

const { RULES, PUSH } = process.env;
const providers = ["https://accounts.google.com/",
	"https://login.microsoftonline.com/"];

async function add(page, address) {
	await go(page, "Accounts elsewhere");
	await page.click("text=Add an account");
	await page.fill("#address", address);
	await page.click("text=Go on");
}

// Until the gateway has found it good, without a reload.
async function works(page, address) {
	await page.waitForSelector(`h2 >> text=${address}`);
	await page.waitForSelector('.badge.ok:text("works")');
}

async function arrived(page, subject, box = "Inbox") {
	await page.click(`nav >> text=${box}`);
	await page.waitForSelector(`.messages >> text=${subject}`);
}

async function write(page, from, to, subject) {
	await page.click("text=/^Write$/");
	await page.waitForSelector(`#own-addresses option[value="${from}"]`,
		{ state: "attached" });
	await page.fill("#from", from);
	await page.fill("#to", to);
	await page.fill("#subject", subject);
	await page.fill("#text", "Written in the page.");
	await page.keyboard.press("Control+Enter");
	await page.waitForSelector("#say >> text=Sent");
}

async function gmail(page) {
	const address = "someone@gmail.com";

	await add(page, address);
	await page.waitForSelector("summary >> text=gmail.googleapis.com");
	assert.ok(!await page.isVisible("#password"));
	await page.click("summary >> text=More choices");
	await page.selectOption("#labels", "folders");
	await shot(page, "outside-gmail");
	await page.click("main >> text=/^Add$/");
	await page.waitForSelector("text=One step is left");
	await page.waitForSelector('.badge.login:text("log in")');
	await page.click("main >> text=/^Log in$/");
	await shot(page, "outside-login");
	const opened = page.context().waitForEvent("page");
	await page.click(`main a[href^="${providers[0]}"]`);
	const tab = await opened;

	// The provider sends that browser back to the page.
	await tab.waitForSelector(`h2 >> text=${address}`);
	assert.equal(new URL(tab.url()).search, "");
	await tab.close();
	await works(page, address);
	assert.equal(await page.inputValue("#labels"), "folders");
	assert.ok(!await page.isVisible("#delete-after"));
	await shot(page, "outside-works");
	await arrived(page, "Hello from Gmail");
	await arrived(page, "About tubes", "Tubes"); // a label there
	await go(page, "Inbox", "").catch(() => {});
	await ask("gmail");
	await arrived(page, "Another one from Gmail");
	await write(page, address, "friend@away.test", "By Gmail");
	await ask("sent by gmail");
}

async function outlook(page) {
	const address = "someone@outlook.com";

	await add(page, address);
	await page.waitForSelector("summary >> text=outlook.office365.com");
	assert.ok(await page.isChecked("#sign-in"));
	assert.ok(!await page.isVisible("#password"));
	await page.click("main >> text=/^Add$/");
	await page.waitForSelector("text=One step is left");
	await page.click("main >> text=/^Log in$/");
	const code = await page.textContent("main .secret");
	await shot(page, "outside-code");
	const opened = page.context().waitForEvent("page");
	await page.click(`main a[href^="${providers[1]}"]`);
	const tab = await opened;

	await tab.fill("#user_code", code);
	await tab.click("text=Allow");
	await tab.waitForSelector("text=Allowed");
	await tab.close();
	await works(page, address);
	await arrived(page, "Hello from Outlook");
	// At once, by IDLE.
	await ask("outlook");
	await arrived(page, "Another one from Outlook");
	await write(page, address, "friend@outlook.com", "By Outlook");
	await ask("sent by outlook");
	// Both sides alike, and what comes here is put there.
	await go(page, "Accounts elsewhere");
	await page.click(`th >> text=${address}`);
	await page.selectOption("#sync-imap", "mirror");
	await page.check("#push");
	await page.check("#push-only");
	await page.waitForSelector(".note >> text=It is fetched as well");
	await page.uncheck("#push-only");
	await page.click("main >> text=/^Save$/");
	await page.waitForSelector("#say >> text=Saved");
	assert.equal(await page.inputValue("#sync-imap"), "mirror");
	assert.ok(await page.isChecked("#push"));
	assert.ok(!await page.isChecked("#push-only"));
	const atWays = () => page.$eval("fieldset.ways", e =>
		e.scrollIntoView());

	await atWays();
	await shot(page, "outside-ways");
	await page.emulateMedia({ colorScheme: "dark" });
	await shot(page, "dark-outside");
	await page.emulateMedia({ colorScheme: "light" });
	await page.setViewportSize({ width: 390, height: 844 });
	assert.ok(await page.evaluate(() =>
		document.documentElement.scrollWidth <= innerWidth), "too wide");
	await atWays();
	await shot(page, "phone-outside");
	await page.setViewportSize({ width: 1280, height: 800 });
	await ask("push");
	await arrived(page, "Put there too");
	await page.click(".messages >> text=Hello from Outlook");
	await page.waitForSelector("pre.text >> text=body");
	await page.click("#reader >> text=/^Delete$/");
	await ask("deleted there");
}

// Unsigned DNS names a server of another domain: it is shown, and confirmed.
async function confirming(page) {
	await add(page, "me@away.lab");
	await page.waitForSelector(".bar.bad >> text=nothing vouches");
	assert.equal(await page.inputValue("#host"), "imap.else.lab");
	assert.equal(await page.inputValue("#port"), "1993");
	await shot(page, "outside-confirm");
	await page.fill("#password", "secret");
	await page.click("text=These are right, add it");
	await page.waitForSelector("h2 >> text=me@away.lab");
	await page.click("text=/^Remove$/");
	await page.waitForSelector("#say >> text=Removed");
}

// What only Google's service could give, the subscription, is the test's own; all
// else is real: the page's code, the API, the gateway's sending, the service
// worker, which Chromium gives the message as a push service's would be.
async function stubPush(context) {
	await context.grantPermissions(["notifications"], { origin:
		root.slice(0, -1) });
	await context.addInitScript(given => {
		const octets = s => Uint8Array.from(atob(s.replaceAll("-", "+")
			.replaceAll("_", "/")), c => c.charCodeAt(0)).buffer;

		let other = true; // one for another key of the server is there

		PushManager.prototype.getSubscription = async () => ({
			unsubscribe: async () => {
				other = false;
			} });
		PushManager.prototype.subscribe = async options => {
			if (options.userVisibleOnly !== true ||
				options.applicationServerKey.length !== 65)
				throw new TypeError("not a subscription");
			if (other)
				throw new DOMException("another", "InvalidStateError");
			return { endpoint: given.endpoint, getKey: name =>
				octets(given[name]) };
		};
	}, JSON.parse(PUSH));
}

async function notification(page) {
	for (let i = 0; i < 600; i++) {
		const shown = await page.evaluate(async () => {
			const r = await navigator.serviceWorker.getRegistration();

			return (await r.getNotifications()).map(n => ({
				title: n.title, body: n.body }));
		});

		if (shown.length > 0)
			return shown[0];
		await page.waitForTimeout(100);
	}
	return null;
}

async function push(page) {
	const cdp = await page.context().newCDPSession(page);
	let registration;

	cdp.on("ServiceWorker.workerRegistrationUpdated", e => {
		registration = e.registrations.find(r => !r.isDeleted &&
			r.scopeURL === root)?.registrationId ?? registration;
	});
	await cdp.send("ServiceWorker.enable");
	await go(page, "Notices", "Notices of new mail");
	await page.click("text=/^Subscribe$/");
	await page.waitForSelector('tbody td:text("sender and subject")');
	// Once more, with another content: it is the same one.
	await page.selectOption("#push-content", "preview");
	await page.click("text=/^Subscribe$/");
	await page.waitForSelector('tbody td:text("how it begins")');
	assert.equal(await page.locator("tbody tr").count(), 1);
	const data = await ask("pushed");

	assert.ok(registration);
	// To one that is not active yet nothing is delivered.
	await page.evaluate(() => navigator.serviceWorker.ready.then(() => 0));
	await cdp.send("ServiceWorker.deliverPushMessage", { origin:
		root.slice(0, -1), registrationId: registration, data });
	assert.deepEqual(await notification(page), { title: "Ada Lovelace",
		body: "Push me\nhere is how it begins" });
	await page.click("nav >> text=Inbox");
	await go(page, "Notices", "Notices of new mail");
	await page.waitForSelector('.badge.ok:text("works")');
	await shot(page, "notices");
	// A service that takes nothing, and then takes it after all.
	await ask("refuse");
	await page.click("nav >> text=Inbox");
	await go(page, "Notices", "Notices of new mail");
	await page.click("text=1 not sent");
	await page.waitForSelector("td >> text=422");
	await ask("take");
	await page.click("text=Send them again");
	await ask("retried");
	await page.click("nav >> text=Inbox");
	await go(page, "Notices", "Notices of new mail");
	await page.waitForSelector('.badge.ok:text("works")');
	assert.ok(!await page.isVisible("text=/not sent/"));
	assert.ok(!await page.isVisible("td .error"));
}

await launch([`--host-resolver-rules=${RULES}`]);
const page = await open({ ignoreHTTPSErrors: true, elsewhere: providers,
	before: stubPush });

await signIn(page);
await page.waitForSelector("nav >> text=Inbox");
for (const part of [push, gmail, outlook, confirming])
	await part(page);
await end();
