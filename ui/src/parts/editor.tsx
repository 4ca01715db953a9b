// A field for PromQL with completion from the server. It stands in a shadow root, where its styles are adopted style
// sheets: those pass a security policy without inline styles.
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, insertNewlineAndIndent } from "@codemirror/commands";
import { bracketMatching, HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { lintKeymap } from "@codemirror/lint";
import { EditorState } from "@codemirror/state";
import { EditorView, keymap, placeholder } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { PromQLExtension } from "@prometheus-io/codemirror-promql";
import { useEffect, useRef } from "preact/hooks";

const COLOURS = HighlightStyle.define([
  { tag: [tags.function(tags.variableName), tags.keyword, tags.operatorKeyword], color: "var(--series-5)" },
  { tag: [tags.string], color: "var(--series-3)" },
  { tag: [tags.number, tags.literal], color: "var(--series-2)" },
  { tag: [tags.labelName], color: "var(--series-1)" },
  { tag: [tags.comment], color: "var(--muted)", fontStyle: "italic" },
  { tag: [tags.invalid], color: "var(--bad)" },
]);

const LOOK = EditorView.theme({
  "&": { backgroundColor: "transparent", color: "var(--ink)", fontSize: "0.97rem" },
  "&.cm-focused": { outline: "none" },
  ".cm-content": { fontFamily: "var(--mono)", padding: "0.42rem 0.5rem", caretColor: "var(--ink)" },
  ".cm-line": { padding: "0" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--accent-soft)" },
  ".cm-matchingBracket": { backgroundColor: "var(--accent-soft) !important", outline: "1px solid var(--accent)" },
  ".cm-placeholder": { color: "var(--muted)" },
  ".cm-tooltip": { backgroundColor: "var(--surface)", border: "1px solid var(--line-strong)", borderRadius: "6px", color: "var(--ink)" },
  ".cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", maxHeight: "18rem" },
  ".cm-tooltip-autocomplete > ul > li": { padding: "0.15rem 0.5rem" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--accent-soft)", color: "var(--accent)" },
  ".cm-completionMatchedText": { textDecoration: "none", fontWeight: "700" },
  ".cm-completionDetail": { color: "var(--muted)", fontStyle: "normal", float: "right", paddingLeft: "1rem" },
  ".cm-completionInfo": { padding: "0.4rem 0.6rem", maxWidth: "24rem" },
  ".cm-diagnostic": { fontFamily: "var(--sans)", padding: "0.3rem 0.6rem" },
});

interface Properties {
  value: string;
  label: string;
  onRun: (value: string) => void;
}

export function Editor({ value, label, onRun }: Properties) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>();
  const run = useRef(onRun);
  run.current = onRun;

  useEffect(() => {
    const parent = host.current;
    if (!parent) return;
    const root = parent.shadowRoot ?? parent.attachShadow({ mode: "open" });
    const submit = (target: EditorView): boolean => {
      run.current(target.state.doc.toString().trim());
      return true;
    };
    const promql = new PromQLExtension().setComplete({ remote: { url: "", httpMethod: "GET" } });
    const made = new EditorView({
      root,
      parent: root,
      state: EditorState.create({
        doc: value,
        extensions: [
          history(),
          bracketMatching(),
          closeBrackets(),
          autocompletion(),
          promql.asExtension(),
          syntaxHighlighting(COLOURS),
          LOOK,
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({ "aria-label": label }),
          placeholder("PromQL, such as rate(http_requests_total[5m])"),
          // In this order: Enter accepts a completion where one is open, else it runs the query.
          keymap.of([
            ...completionKeymap,
            { key: "Shift-Enter", run: insertNewlineAndIndent },
            { key: "Enter", run: submit },
            ...closeBracketsKeymap,
            ...lintKeymap,
            ...historyKeymap,
            ...defaultKeymap,
          ]),
          EditorView.domEventHandlers({ blur: (_event, target) => void submit(target) }),
        ],
      }),
    });
    view.current = made;
    return () => made.destroy();
  }, []);

  useEffect(() => {
    const shown = view.current;
    const text = shown?.state.doc.toString();
    if (shown && text !== undefined && text.trim() !== value) shown.dispatch({ changes: { from: 0, to: text.length, insert: value } });
  }, [value]);

  return <div class="editor" ref={host} />;
}
