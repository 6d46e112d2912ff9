"use strict";
// Shows the report in #report. Whatever it says reaches the page by textContent alone: nothing is parsed as HTML.
(() => {
  const report = JSON.parse(document.getElementById("report").textContent);
  const session = report.session;
  const byId = (id) => document.getElementById(id);
  const page = { list: byId("list"), rows: byId("rows"), detail: byId("detail"), search: byId("search"), entry: byId("entry"), help: byId("help") };

  const ICONS = {
    match: "M3 8.5l3.2 3.2L13 4.6",
    fixed: "M8 1.8a6.2 6.2 0 1 0 0 12.4 6.2 6.2 0 1 0 0-12.4M5.2 8.3l2 2 3.7-4.2",
    reproduced: "M13 8a5 5 0 1 1-1.6-3.7M12.8 1.6v3.2H9.6",
    regressed: "M4 4l8 8M12 4l-8 8",
    beyond: "M1.5 8h9M7.5 5l3 3-3 3M14 3v10",
    diverged: "M8 14.5V9.5L4 5.5M8 9.5l4-4M3.6 8.4V5.1h3.3M12.4 8.4V5.1H9.1",
    leaked: "M8 2l6.6 11.6H1.4zM8 6.4v3.2M8 11.6v.1",
    unready: "M8 1.8a6.2 6.2 0 1 0 0 12.4 6.2 6.2 0 1 0 0-12.4M3.7 3.7l8.6 8.6",
    locked: "M3.8 7.4h8.4v6.2H3.8zM5.4 7.4V5a2.6 2.6 0 0 1 5.2 0v2.4",
    error: "M8 2.6v7M8 12.8v.1",
    skipped: "M3.5 8h9",
    "not-run": "M3 8h.1M8 8h.1M13 8h.1",
    same: "M4 6.2h8M4 9.8h8",
    changed: "M4 6.2h8M4 9.8h8M10 3.2L6 12.8",
    missing: "M4 8h8",
    new: "M4 8h8M8 4v8",
  };
  const TONES = { passed: "good", failed: "bad", error: "bad", xfailed: "warn" };
  const URGENCY = ["leaked", "regressed", "diverged", "beyond", "reproduced", "unready", "error", "not-run", "locked", "skipped", "fixed", "match"];
  const ANSWERED_BY = {
    run: "the recorded call",
    preamble: "what start-up asked",
    guard: "the guard's words",
    supplement: "the supplement",
    earlier: "an earlier read of the process",
    miss: "nothing: the run lacks it",
  };
  const CONTEXT = 2;
  const MANY_CALLS = 60;

  // -- making elements -------------------------------------------------------------------------------------------------

  /** An element with text or children; `false` and "" among them are left out. */
  const make = (tag, attributes, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes ?? {})) {
      if (name === "onclick") element.addEventListener("click", value);
      else if (value !== false && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children.flat().filter((child) => child !== false && child !== "" && child != null));
    return element;
  };

  const icon = (name) => {
    const namespace = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(namespace, "svg");
    const path = document.createElementNS(namespace, "path");
    svg.setAttribute("viewBox", "0 0 16 16");
    svg.setAttribute("class", "icon");
    svg.setAttribute("aria-hidden", "true");
    path.setAttribute("d", ICONS[name] ?? ICONS.error);
    svg.append(path);
    return svg;
  };

  // -- what a run is called --------------------------------------------------------------------------------------------

  const verdictOf = (run) => run.verdict || run.outcome;
  const toneOf = (run) => TONES[run.outcome] ?? "idle";
  const titleOf = (run) => run.guard?.title || run.entry;
  const labelOf = (run) => (run.outcome === "xfailed" ? `${verdictOf(run)}, pending` : verdictOf(run));
  const whyOf = (run) => run.first_divergence || run.problem?.split("\n")[0] || run.recorded_outcome?.text || "";
  const milliseconds = (ns) => `${(ns / 1e6).toFixed(1)} ms`;
  const counted = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
  const utc = (iso) => (iso ? iso.replace("T", " ").replace(/(\.\d+)?(\+00:00|Z)$/, " UTC") : "");

  const urgency = (run) => {
    const place = URGENCY.indexOf(verdictOf(run));
    return (run.outcome === "passed" ? 100 : run.outcome === "xfailed" ? 50 : 0) + (place < 0 ? 0 : place);
  };
  const runs = (report.runs ?? [])
    .map((run, index) => ({ run, index, urgency: urgency(run) }))
    .sort((one, other) => one.urgency - other.urgency || one.index - other.index)
    .map((each) => each.run);

  const searched = new Map();
  const searchTextOf = (run) => {
    if (!searched.has(run)) {
      const calls = (run.timeline ?? []).flatMap((call) => [call.boundary, call.recorded?.asked, call.replayed?.asked]);
      const words = [run.name, titleOf(run), run.entry, labelOf(run), run.reason, run.problem, run.first_divergence, ...calls];
      searched.set(run, words.filter(Boolean).join("\n").toLowerCase());
    }
    return searched.get(run);
  };

  // -- the list --------------------------------------------------------------------------------------------------------

  const state = { shown: runs, selected: null, verdicts: new Set(), onlyDifferent: null };
  const rowHeight = parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row"));
  const drawn = new Map();

  const rowOf = (run, index) =>
    make(
      "div",
      {
        class: "row", role: "option", id: `run-${index}`, "aria-selected": String(run === state.selected),
        "aria-setsize": state.shown.length, "aria-posinset": index + 1, "data-run": run.run_id,
        onclick: () => read(run),
      },
      make("span", { class: toneOf(run) }, icon(verdictOf(run))),
      make("span", { class: "name" }, titleOf(run)),
      make("span", { class: `verdict ${toneOf(run)}` }, labelOf(run)),
      make("span", { class: "why" }, titleOf(run) === run.entry ? whyOf(run) : [run.entry, whyOf(run)].filter(Boolean).join(" · ")),
      make("span", { class: "id" }, run.run_id.slice(0, 10)),
    );

  /** Only the rows in sight, and a few around them, are in the page: ten thousand runs scroll like ten. */
  const draw = () => {
    const first = Math.max(0, Math.floor(page.list.scrollTop / rowHeight) - 8);
    const last = Math.min(state.shown.length, Math.ceil((page.list.scrollTop + page.list.clientHeight) / rowHeight) + 8);
    for (const [index, row] of drawn) {
      if (index < first || index >= last) {
        row.remove();
        drawn.delete(index);
      }
    }
    for (let index = first; index < last; index += 1) {
      if (!drawn.has(index)) {
        const row = rowOf(state.shown[index], index);
        row.style.top = `${index * rowHeight}px`;
        drawn.set(index, row);
        page.rows.append(row);
      }
    }
  };

  let awaited = 0;
  const drawSoon = () => {
    awaited ||= requestAnimationFrame(() => {
      awaited = 0;
      draw();
    });
  };

  const redraw = () => {
    drawn.clear();
    page.rows.replaceChildren();
    page.rows.style.height = `${state.shown.length * rowHeight}px`;
    if (!state.shown.length) {
      page.rows.append(make("p", { class: "empty" }, runs.length ? "No run fits these filters. Esc clears them." : "No run was collected."));
    }
    draw();
  };

  const bringIntoSight = (index) => {
    const top = index * rowHeight;
    const { scrollTop, clientHeight } = page.list;
    if (top < scrollTop) page.list.scrollTop = top;
    else if (top + rowHeight > scrollTop + clientHeight) page.list.scrollTop = top + rowHeight - clientHeight;
  };

  const filter = () => {
    const words = page.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    state.shown = runs.filter(
      (run) =>
        (!state.verdicts.size || state.verdicts.has(labelOf(run))) &&
        (!page.entry.value || run.entry === page.entry.value) &&
        words.every((word) => searchTextOf(run).includes(word)),
    );
    byId("shown").textContent = state.shown.length === runs.length ? counted(runs.length, "run") : `${state.shown.length.toLocaleString("en")} of ${runs.length.toLocaleString("en")}`;
    page.list.scrollTop = 0;
    redraw();
  };

  const isFiltered = () => Boolean(page.search.value || page.entry.value || state.verdicts.size);

  const clearFilters = () => {
    page.search.value = "";
    page.entry.value = "";
    state.verdicts.clear();
    for (const chip of byId("verdicts").children) chip.setAttribute("aria-pressed", "false");
    filter();
  };

  // -- choosing a run --------------------------------------------------------------------------------------------------

  const isNarrow = () => matchMedia("(max-width: 860px)").matches;
  const isReading = () => document.body.classList.contains("reading");
  const linkTo = (run, call) => `#run=${encodeURIComponent(run.run_id)}${call == null ? "" : `&call=${call + 1}`}`;

  const select = (run, { link = true } = {}) => {
    state.selected = run;
    state.onlyDifferent = null;
    for (const [index, row] of drawn) row.setAttribute("aria-selected", String(state.shown[index] === run));
    const index = state.shown.indexOf(run);
    if (index >= 0) {
      bringIntoSight(index);
      draw();
      page.list.setAttribute("aria-activedescendant", `run-${index}`);
    }
    if (link && run) history.replaceState(null, "", linkTo(run));
    showDetail();
  };

  /** Select a run and, where there is room for one pane only, turn to it. */
  const read = (run) => {
    if (isNarrow() && !isReading()) history.pushState(null, "", linkTo(run));
    document.body.classList.add("reading");
    select(run);
  };

  const backToList = () => {
    document.body.classList.remove("reading");
    if (isNarrow()) history.replaceState(null, "", location.pathname + location.search);
    draw();
    page.list.focus();
  };

  const move = (step) => {
    const at = state.shown.indexOf(state.selected);
    const next = state.shown[at < 0 ? 0 : Math.min(state.shown.length - 1, Math.max(0, at + step))];
    if (next) select(next);
  };

  const followLink = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    const run = asked.get("run") && runs.find((each) => each.run_id.startsWith(asked.get("run")));
    if (!run) return false;
    if (!state.shown.includes(run)) clearFilters();
    document.body.classList.add("reading");
    if (run !== state.selected) select(run, { link: false });
    if (asked.get("call")) goToCall(Number(asked.get("call")) - 1);
    return true;
  };

  // -- one run ---------------------------------------------------------------------------------------------------------

  const showDetail = () => {
    const run = state.selected;
    page.detail.scrollTop = 0;
    if (!run) {
      page.detail.replaceChildren(make("p", { class: "empty" }, "Choose a run."));
      return;
    }
    page.detail.replaceChildren(
      ...[heading(run), facts(run), problem(run), pinned(run), outcomes(run), differences(run), drifts(run), timeline(run), failure(run), commands(run)].flat().filter(Boolean),
    );
  };

  const heading = (run) => [
    make(
      "div", { class: "heading" },
      make("button", { type: "button", class: "back", onclick: backToList }, "← Runs"),
      make("span", { class: `badge ${toneOf(run)}` }, icon(verdictOf(run)), labelOf(run)),
      make("span", { class: "quiet" }, [run.reason !== verdictOf(run) && run.reason, run.duration_s && `${run.calls_replayed != null || run.replayed_outcome ? "replayed in" : "took"} ${(run.duration_s * 1000).toFixed(0)} ms`].filter(Boolean).join(" · ")),
    ),
    make("h2", {}, titleOf(run)),
  ];

  const fact = (name, ...said) => (said.some(Boolean) ? make("div", { class: name === "Guard" && said.length > 1 ? "wide" : "" }, make("dt", {}, name), make("dd", {}, ...said)) : "");

  const facts = (run) => {
    const guard = run.guard;
    const expects = guard && [guard.expect === "fix" ? "expects a fix" : "expects the recorded outcome", guard.pending && "pending", guard.beyond === "accept" && "accepts beyond", guard.proven && `proven on ${guard.proven}`].filter(Boolean).join(", ");
    return make(
      "dl", { class: "facts" },
      fact("Run", make("code", {}, run.run_id)),
      fact("Entry", run.entry, run.entry_place ? make("code", { class: "sub" }, ` ${run.entry_place.path}:${run.entry_place.line}`) : ""),
      fact("Recorded", utc(run.recorded_at_utc), run.recorded_release ? ` on ${run.recorded_release}` : ""),
      guard ? fact("Guard", make("code", {}, guard.path), make("div", { class: "sub" }, expects)) : fact("Guard", "none"),
      fact("Not compared", ...(guard?.ignored ?? []).map((path) => make("div", {}, make("code", {}, path)))),
      fact("Allowed drift", ...(guard?.allowed ?? []).map((rule) => make("div", {}, make("code", {}, rule)))),
      fact("Confirmed", confirmed(run.confirmation)),
    );
  };

  const confirmed = (said) => {
    if (!said) return "";
    const where = said.how === "fork" ? "a forked process" : "a fresh process";
    if (!said.verdict) return `${where} gave no verdict`;
    return said.same ? `${where} says the same` : `state leaked between runs: ${where} says ${said.verdict}`;
  };

  const problem = (run) => (run.problem ? make("p", { class: "note bad" }, run.problem) : "");

  const pinned = (run) => {
    if (!run.first_divergence) return "";
    const at = run.first_divergent_call;
    const call = at == null ? null : run.timeline?.[at];
    return make(
      "section", { class: "pin", "aria-label": "First divergence" },
      make(
        "div", { class: "line" },
        make("strong", {}, call ? `First divergence, ${nameOfCall(run, call)}` : "First divergence"),
        call ? make("a", { href: linkTo(run, at), onclick: () => goToCall(at) }, "Show the call") : "",
      ),
      make("code", {}, run.first_divergence),
    );
  };

  const nameOfCall = (run, call) => (call.number ? `call ${call.number} of ${run.calls_recorded}` : `call ${call.replayed.position} of the replay`);

  const side = (name, outcome) =>
    make("div", {}, make("div", { class: "quiet" }, name), make("div", {}, outcome ? outcome.text : "no outcome"), outcome?.content ? make("pre", { tabindex: "0" }, outcome.content) : "");

  const outcomes = (run) =>
    run.recorded_outcome ? [make("h3", {}, "Outcome"), make("div", { class: "pair" }, side("Recorded", run.recorded_outcome), side("Replayed", run.replayed_outcome))] : [];

  const differences = (run) =>
    run.differences?.length
      ? [
          make("h3", {}, `Differs from what is expected (${(run.differences.length + (run.differences_left_out ?? 0)).toLocaleString("en")})`),
          make(
            "table", {},
            make("thead", {}, make("tr", {}, ...["Place", "Expected", "Got"].map((name) => make("th", { scope: "col" }, name)))),
            make("tbody", {}, run.differences.map((each) => make("tr", {}, ...[each.path, each.expected.text, each.got.text].map((text) => make("td", {}, make("span", { class: "code" }, text)))))),
          ),
          run.differences_left_out ? make("p", { class: "quiet note" }, `… and ${counted(run.differences_left_out, "place")} more, left out here`) : "",
        ]
      : [];

  const drifts = (run) =>
    run.drifts?.length
      ? [
          make("h3", {}, `Drift (${run.drifts.length})`),
          make(
            "table", {},
            make("thead", {}, make("tr", {}, ...["Kind", "Counts as", "What"].map((name) => make("th", { scope: "col" }, name)))),
            make(
              "tbody", {},
              run.drifts.map((each) =>
                make(
                  "tr", {},
                  make("td", {}, each.kind),
                  make("td", {}, make("span", { class: each.failing ? "bad" : "quiet" }, each.failing ? "failure" : "note")),
                  make("td", {}, make("span", { class: "code" }, [each.call ? `call[${each.call}] ` : "", each.text].join("")), ...(each.paths ?? []).map((path) => make("div", { class: "code sub" }, path))),
                ),
              ),
            ),
          ),
        ]
      : [];

  const failure = (run) => (run.text ? [make("h3", {}, "As pytest shows it"), make("pre", { class: "note", tabindex: "0" }, run.text)] : []);

  const commands = (run) => [
    make("h3", {}, "Go on"),
    make("div", { class: "commands" }, [run.rerun, `fluxrun show ${run.run_id}`, `fluxrun why ${run.run_id}`].filter(Boolean).map(command)),
    session.values ? "" : make("p", { class: "quiet note" }, "Values are hidden. --fluxrun-report-values writes a report that shows bodies, arguments and rows."),
  ];

  const command = (text) => {
    const code = make("code", {}, text);
    const button = make("button", { type: "button", "aria-label": `Copy ${text}`, onclick: () => copy(text, code, button) }, "Copy");
    return make("div", { class: "command" }, code, button);
  };

  const copy = async (text, code, button) => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
  };

  // -- a run's timeline ------------------------------------------------------------------------------------------------

  const laneOf = (call) => (call.recorded ? call.lane : call.replayed.lane);

  const timeline = (run) => {
    const calls = run.timeline ?? [];
    if (!calls.length) return run.recorded_outcome ? [make("h3", {}, "Timeline"), make("p", { class: "quiet" }, "The run made no calls.")] : [];
    const different = calls.filter((call) => call.status !== "same").length;
    const only = state.onlyDifferent ?? (different > 0 && calls.length > MANY_CALLS);
    const list = make("ol", { class: "timeline", "aria-label": "Calls" });
    const toggle = make("button", { type: "button", "aria-pressed": String(only), "aria-keyshortcuts": "d", onclick: () => toggleDifferent() }, only ? `Show all ${calls.length} calls` : "Only what differs");
    drawTimeline(list, run, only);
    return [
      make("div", { class: "bar" }, make("h3", {}, `Timeline: ${counted(run.calls_recorded ?? 0, "call")} recorded, ${run.calls_replayed ?? 0} replayed`), different && different < calls.length ? toggle : ""),
      list,
    ];
  };

  const toggleDifferent = () => {
    const calls = state.selected?.timeline ?? [];
    const now = state.onlyDifferent ?? (calls.some((call) => call.status !== "same") && calls.length > MANY_CALLS);
    const kept = page.detail.scrollTop;
    state.onlyDifferent = !now;
    showDetail();
    page.detail.scrollTop = kept;
  };

  const drawTimeline = (list, run, only) => {
    const calls = run.timeline;
    const rails = railsOf(calls);
    list.style.setProperty("--rails", `${10 + 12 * rails.width}px`);
    list.style.setProperty("--digits", `${Math.max(2, String(run.calls_recorded ?? 0).length)}ch`);
    list.append(make("li", { class: "call head", "aria-hidden": "true" }, make("span"), make("span"), make("span", {}, "Recorded"), make("span", { class: "state" }), make("span", { class: "replayed" }, "Replayed"), make("span", { class: "when" }, "When")));
    const near = (index) => calls.slice(Math.max(0, index - CONTEXT), index + CONTEXT + 1).some((call) => call.status !== "same");
    let left = 0;
    const told = () => {
      if (left) list.append(make("li", { class: "skipped-calls" }, `${counted(left, "call")} made as recorded`));
      left = 0;
    };
    calls.forEach((call, index) => {
      if (only && !near(index)) {
        left += 1;
        return;
      }
      told();
      list.append(callRow(run, call, index, rails));
    });
    told();
  };

  /** Where each lane's rail stands and from which to which call it is drawn; the calls at which the lane changes. */
  const railsOf = (calls) => {
    const lanes = new Map();
    calls.forEach((call, index) => {
      const lane = laneOf(call);
      if (!lanes.has(lane)) lanes.set(lane, { place: lanes.size % 10, first: index });
      lanes.get(lane).last = index;
    });
    const named = new Set(calls.filter((call, index) => index === 0 || laneOf(call) !== laneOf(calls[index - 1])));
    const end_ns = Math.max(1, ...calls.map((call) => call.recorded?.ended_ns ?? 0));
    return { lanes, named, end_ns, width: Math.min(lanes.size, 10) };
  };

  const callRow = (run, call, index, rails) => {
    const { place } = rails.lanes.get(laneOf(call));
    const active = [...rails.lanes.values()].filter((lane) => lane.first <= index && index <= lane.last);
    const gutter = make("span", { class: "rails", "aria-hidden": "true" }, active.map((lane) => placed(make("span", { class: "rail" }), lane.place)), placed(make("span", { class: call.effect ? "dot" : "dot hollow" }), place));
    return make(
      "li",
      { class: `call ${call.status}${index === run.first_divergent_call ? " first" : ""}`, id: `call-${index}`, tabindex: "-1" },
      gutter,
      make("span", { class: "number" }, call.number ? String(call.number) : ""),
      make("div", { class: "recorded" }, recordedSide(call, rails)),
      make("span", { class: "state" }, statusOf(call)),
      make("div", { class: "replayed" }, replayedSide(call, rails)),
      make("span", { class: "when", "aria-hidden": "true" }, duration(call, rails)),
    );
  };

  const duration = (call, rails) => {
    if (!call.recorded) return "";
    const bar = make("i", {});
    const { started_ns, ended_ns } = call.recorded;
    bar.style.left = `${Math.min(96, (100 * started_ns) / rails.end_ns)}%`;
    bar.style.width = `${(100 * (ended_ns - started_ns)) / rails.end_ns}%`;
    return bar;
  };

  const placed = (element, place) => {
    element.style.left = `${9 + 12 * place}px`;
    return element;
  };

  const tags = (call, rails) => [
    call.effect ? make("span", { class: "tag", title: "It changes the outside" }, "effect") : "",
    call.label ? make("span", { class: "tag" }, call.label) : "",
    rails.lanes.size > 1 && rails.named.has(call) ? make("span", { class: "tag", title: "Lane" }, laneOf(call) === "/" ? "root lane" : laneOf(call)) : "",
  ];

  const asked = (call, text) => [make("span", { class: "boundary" }, call.boundary), ` ${text}`];

  const recordedSide = (call, rails) => {
    const recorded = call.recorded;
    if (!recorded) return [make("span", { class: "absent" }, "not recorded")];
    return [
      make("div", { class: "asked" }, asked(call, recorded.asked)),
      make("div", { class: recorded.failed ? "answered bad" : "answered" }, `→ ${recorded.answered}`, ` · at ${milliseconds(recorded.started_ns)}, took ${milliseconds(recorded.ended_ns - recorded.started_ns)}`, tags(call, rails)),
      recorded.content ? make("details", {}, make("summary", {}, "Request and answer"), make("pre", { tabindex: "0" }, recorded.content)) : "",
    ];
  };

  const replayedSide = (call, rails) => {
    const replayed = call.replayed;
    if (!replayed) return [make("span", { class: "absent" }, "not made")];
    const same = call.status === "same" && replayed.asked === call.recorded.asked;
    return [
      same ? make("span", { class: "absent" }, "as recorded") : make("div", { class: "asked" }, asked(call, replayed.asked)),
      ...(call.paths ?? []).map((path) => make("div", { class: "code sub" }, path)),
      call.recorded ? "" : make("div", { class: "sub" }, `answered by ${ANSWERED_BY[replayed.source] ?? replayed.source}`, tags(call, rails)),
    ];
  };

  const statusOf = (call) => {
    const tone = call.status === "same" ? "idle" : call.status === "changed" ? "warn" : "bad";
    return make("span", { class: `status ${tone}`, title: call.drift || "" }, icon(call.status), call.status);
  };

  const goToCall = (index) => {
    if (!byId(`call-${index}`)) {
      state.onlyDifferent = false;
      showDetail();
    }
    const row = byId(`call-${index}`);
    if (!row) return;
    for (const lit of page.detail.querySelectorAll(".lit")) lit.classList.remove("lit");
    row.classList.add("lit");
    row.scrollIntoView({ block: "center" });
    row.focus({ preventScroll: true });
  };

  // -- the top of the page ---------------------------------------------------------------------------------------------

  const showSession = () => {
    byId("project").textContent = report.project;
    document.title = `${report.project}: FluxRun report`;
    const versions = Object.entries(session.versions ?? {}).map(([name, version]) => `${name} ${version}`);
    byId("session").append([utc(session.started_at_utc), `took ${session.duration_s.toFixed(1)} s`, `exit code ${session.exit_status}`].join(" · "), make("span", { class: "more" }, versions.map((version) => ` · ${version}`).join("")));
    const wrong = [session.complete ? "" : `Incomplete: ${session.incomplete_because}.`, session.gate ?? ""].filter(Boolean).join(" ");
    byId("alert").textContent = wrong;
    byId("alert").hidden = !wrong;
  };

  const showFilters = () => {
    const kinds = new Map();
    for (const run of runs) kinds.set(labelOf(run), { run, count: (kinds.get(labelOf(run))?.count ?? 0) + 1 });
    for (const [label, { run, count }] of kinds) {
      const chip = make("button", { type: "button", class: "chip", "aria-pressed": "false" }, make("span", { class: toneOf(run) }, icon(verdictOf(run))), label, make("b", {}, count.toLocaleString("en")));
      chip.addEventListener("click", () => {
        const pressed = !state.verdicts.delete(label);
        if (pressed) state.verdicts.add(label);
        chip.setAttribute("aria-pressed", String(pressed));
        filter();
      });
      byId("verdicts").append(chip);
    }
    for (const entry of [...new Set(runs.map((run) => run.entry))].sort()) page.entry.append(make("option", { value: entry }, entry));
  };

  // -- dark and light --------------------------------------------------------------------------------------------------

  const stored = { get: () => { try { return localStorage.getItem("fluxrun-theme"); } catch { return null; } }, set: (theme) => { try { localStorage.setItem("fluxrun-theme", theme); } catch { /* the page has no storage of its own: the choice lasts as long as it is open */ } } };
  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme ?? (systemDark.matches ? "dark" : "light")) === "dark";
  const nameTheme = () => { byId("theme").textContent = isDark() ? "Light" : "Dark"; };
  const switchTheme = () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    stored.set(document.documentElement.dataset.theme);
    nameTheme();
  };

  // -- keyboard --------------------------------------------------------------------------------------------------------

  const escape = () => {
    if (document.activeElement === page.search) page.list.focus();
    if (isReading() && (isNarrow() || page.detail.contains(document.activeElement))) backToList();
    else if (isFiltered()) clearFilters();
  };

  const SHORTCUTS = {
    j: () => move(1),
    k: () => move(-1),
    "/": () => { if (isNarrow() && isReading()) backToList(); page.search.focus(); page.search.select(); },
    f: () => { if (state.selected?.first_divergent_call != null) goToCall(state.selected.first_divergent_call); },
    d: toggleDifferent,
    t: switchTheme,
    "?": () => page.help.showModal(),
    Escape: escape,
  };
  const IN_LIST = {
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    PageDown: () => move(Math.floor(page.list.clientHeight / rowHeight)),
    PageUp: () => move(-Math.floor(page.list.clientHeight / rowHeight)),
    Home: () => move(-runs.length),
    End: () => move(runs.length),
  };

  document.addEventListener("keydown", (event) => {
    if (page.help.open || event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.matches("input, select");
    const inList = event.target === page.list || event.target === document.body;
    let act = typing && event.key !== "Escape" ? undefined : SHORTCUTS[event.key];
    if (inList) act ??= IN_LIST[event.key];
    if (event.key === "Enter" && (inList || event.target === page.search)) {
      act = () => {
        const run = state.shown.includes(state.selected) ? state.selected : state.shown[0];
        if (run) read(run);
        page.detail.focus();
      };
    }
    if (!act) return;
    event.preventDefault();
    act();
  });

  // -- start -----------------------------------------------------------------------------------------------------------

  if (stored.get()) document.documentElement.dataset.theme = stored.get();
  nameTheme();
  systemDark.addEventListener("change", nameTheme);
  showSession();
  showFilters();
  page.list.addEventListener("scroll", drawSoon, { passive: true });
  page.search.addEventListener("input", filter);
  page.entry.addEventListener("change", filter);
  byId("theme").addEventListener("click", switchTheme);
  byId("keys").addEventListener("click", () => page.help.showModal());
  document.querySelector(".filters").addEventListener("submit", (event) => event.preventDefault());
  addEventListener("resize", drawSoon);
  addEventListener("popstate", () => { if (!followLink()) backToList(); });
  filter();
  if (!followLink()) {
    if (runs.length && !isNarrow()) select(runs[0], { link: false });
    else showDetail();
    page.list.focus();
  }
  requestAnimationFrame(() => { document.documentElement.dataset.ready = String(Math.round(performance.now())); });
})();
