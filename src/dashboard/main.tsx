// Called by: index.html, in a browser. May touch: the document, this master's HTTP. Never: asks another host, or
// imports anything of the server but types and pure functions.
import { render } from "preact";
import { App } from "./app.tsx";
import { followCluster } from "./data/cluster-history.ts";
import { followEnds } from "./data/ends.ts";
import { startLive } from "./data/live.ts";
import { followAddress } from "./data/route.ts";
import { followWorkers } from "./data/workers.ts";

followAddress();
startLive();
followWorkers();
followEnds();
followCluster();
const place = document.getElementById("app");
if (place === null) throw new Error("index.html has no #app");
place.replaceChildren();
render(<App />, place);
