#!/bin/bash
# SPDX-License-Identifier: ISC
# A real IPFS node (js-ipfs, from npm) for tests: on loopback, with nobody to
# talk to. usage: up.sh NODE_DIR REPO PORT; the node is this process from then on.
set -e
jsipfs=$1/node_modules/.bin/jsipfs
export IPFS_PATH=$2 NO_UPDATE_NOTIFIER=1
[ -f "$IPFS_PATH/config" ] ||
	"$jsipfs" init --empty-repo --algorithm ed25519 >/dev/null
python3 - "$IPFS_PATH/config" "$3" <<'EOF'
import json, sys
path, port = sys.argv[1:]
with open(path) as f:
    conf = json.load(f)
conf["Addresses"] = {"Swarm": [], "API": "/ip4/127.0.0.1/tcp/" + port,
                     "Gateway": "", "Delegates": []}
conf["Discovery"]["MDNS"]["Enabled"] = False
conf["Discovery"]["webRTCStar"]["Enabled"] = False
conf.update(Bootstrap=[], Pubsub={"Enabled": False}, Routing={"Type": "none"})
conf["Swarm"]["DisableNatPortMap"] = True
with open(path, "w") as f:
    json.dump(conf, f)
EOF
rm -rf "$IPFS_PATH/repo.lock" "$IPFS_PATH/api"
# What its libraries expect of a newer Node.js than Debian's.
cat > "$IPFS_PATH/poly.cjs" <<'EOF'
if (!Promise.withResolvers) Promise.withResolvers = function () {
	let resolve, reject;
	const promise = new this((a, b) => { resolve = a; reject = b; });
	return { promise, resolve, reject };
};
if (!globalThis.CustomEvent) globalThis.CustomEvent = class extends Event {
	constructor(type, init) { super(type, init); this.detail = init?.detail ?? null; }
};
if (!Array.prototype.toSorted) Array.prototype.toSorted = function (by) {
	return [...this].sort(by);
};
EOF
export NODE_OPTIONS="--require $IPFS_PATH/poly.cjs"
exec "$jsipfs" daemon --offline --enable-preload=false
