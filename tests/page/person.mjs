// SPDX-License-Identifier: ISC
// Chromium, and a person in it. Told by the environment: PORT, SHOTS (a folder for
// screenshots, or empty). Asks the Python test for mail and the like by lines on
// standard output, and hears of it on standard input: "done", and maybe more.
import assert from "node:assert/strict";
import readline from "node:readline";
import { chromium } from "playwright-core";

const { PORT, SHOTS } = process.env;
export const root = `http://127.0.0.1:${PORT}/`;
export const person = { address: "alice@example.test", password: "demo" };
const answers = readline.createInterface({ input: process.stdin })
	[Symbol.asyncIterator]();
const faults = [];
let browser;

// What was to be seen when it failed.
process.on("uncaughtException", async e => {
	console.error(e);
	const pages = browser?.contexts().flatMap(c => c.pages()) ?? [];

	for (const [i, p] of pages.entries()) {
		console.error(`page ${i}: ${p.url()}`);
		await shot(p, `failed-${i}`).catch(() => {});
	}
	console.error(faults);
	process.exit(1);
});

export async function launch(args = []) {
	browser = await chromium.launch({
		executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
		args: ["--no-sandbox", ...args] });
}

export async function ask(what) {
	console.log(what);
	const { value } = await answers.next();

	assert.match(value, /^done/);
	return value.slice(5);
}

// Any error of the page, any request to elsewhere, any dialog is a fault; but what
// is opened from there (`elsewhere`: roots of URLs) is the other side's.
export async function open(options = {}) {
	const { elsewhere = [], before, ...rest } = options;
	const context = await browser.newContext({
		viewport: { width: 1280, height: 800 }, ...rest });

	await before?.(context);
	const page = await context.newPage();

	page.setDefaultTimeout(Number(process.env.PATIENCE_MS ?? 60000));
	page.on("pageerror", e => faults.push("error: " + e.message));
	page.on("console", m => {
		// Chromium tells of each refusal; these belong to what is done here:
		// a wrong password, servers that cannot be found, or believed.
		if (m.type() === "error" && !/status of 40[149]/.test(m.text()))
			faults.push("console: " + m.text());
	});
	page.on("dialog", async d => {
		if (d.type() !== "confirm")
			faults.push("dialog: " + d.message());
		await d.accept();
	});
	context.on("request", r => {
		if (![root, "data:", ...elsewhere].some(u => r.url().startsWith(u)))
			faults.push("request: " + r.url());
	});
	await page.goto(root);
	await page.waitForSelector("#address");
	return page;
}

export async function signIn(page, typed = person.password) {
	await page.fill("#address", person.address);
	await page.fill("#password", typed);
	await page.keyboard.press("Enter");
}

export async function go(page, name, title = name) {
	await page.click(`nav >> text="${name}"`);
	await page.waitForSelector(`main h2 >> text=${title}`);
}

export async function shot(page, name) {
	if (SHOTS)
		await page.screenshot({ path: `${SHOTS}/${name}.png` });
}

export async function end() {
	await browser.close();
	assert.deepEqual(faults, []);
	console.log("good");
	process.exit(0);
}
