"""Contains the style sheet of the explorer, which is dark if the page is dark."""

STYLE = """
.steerlens-explorer { max-width: 1180px; }
.steerlens-explorer .widget-inline-hbox,
.steerlens-explorer .jupyter-button,
.steerlens-explorer .widget-dropdown {
  margin: 1px 2px;
}
.steerlens-explorer .jupyter-button { padding: 0 8px; width: auto; }
.steerlens-explorer .widget-html, .steerlens-explorer .widget-textarea { margin: 1px 2px; }
.steerlens-explorer .widget-html-content { line-height: 1.35; font-size: 12px; overflow: hidden; }
.steerlens-explorer .caption,
.steerlens-explorer .line {
  white-space: nowrap;
  overflow: hidden;
  text-overflow: ellipsis;
  font-size: 12px;
}
.steerlens-explorer .caption i { opacity: .75; font-size: 11px; font-style: normal; }
.steerlens-explorer code { background: transparent; color: inherit; padding: 0 1px; font-size: 11px; }
.steerlens-explorer .line code { border: 1px solid rgba(128, 128, 128, .45); border-radius: 3px; }
.steerlens-explorer .said { font-size: 12px; }
.steerlens-explorer .kept { border-bottom: 2px dotted currentColor; }
.steerlens-explorer .now { border-bottom: 2px solid #d55e00; }
.steerlens-explorer .busy { color: #d55e00; }
.steerlens-explorer .busy::before { content: "● "; }
.steerlens-explorer .failed { color: #d1242f; white-space: pre-wrap; }
.steerlens-explorer .texts-box { max-height: 172px; overflow-y: auto; }
.steerlens-explorer table.texts { width: 100%; border-collapse: collapse; table-layout: fixed; }
.steerlens-explorer table.texts th,
.steerlens-explorer table.texts td {
  text-align: start;
  vertical-align: top;
  padding: 2px 12px 2px 0;
  line-height: 1.35;
  white-space: normal;
  overflow-wrap: anywhere;
}
.steerlens-explorer table.texts th { font-size: 11.5px; border-bottom: 1px solid rgba(128, 128, 128, .4); }
.steerlens-explorer table.texts th span { font-weight: normal; }
.steerlens-explorer mark { background: rgba(213, 94, 0, .22); color: inherit; border-radius: 2px; }
.steerlens-explorer .sides { display: flex; gap: 28px; max-height: 320px; overflow: auto; }
.steerlens-explorer .sides td { padding: 0 10px 0 0; text-align: start; }
.steerlens-explorer :focus-visible { outline: 2px solid #0072b2; outline-offset: 1px; }
.steerlens-explorer .lm-TabBar-tab, .steerlens-explorer .p-TabBar-tab { min-width: 0; flex: 0 1 auto; padding: 0 10px; }
.steerlens-explorer .widget-tab-contents { padding: 4px; }
[data-jp-theme-light="false"] .steerlens-explorer .js-plotly-plot,
[data-vscode-theme-kind="vscode-dark"] .steerlens-explorer .js-plotly-plot { filter: invert(.89) hue-rotate(180deg); }
[data-jp-theme-light="false"] .steerlens-explorer mark,
[data-vscode-theme-kind="vscode-dark"] .steerlens-explorer mark { background: rgba(255, 138, 61, .38); }
[data-jp-theme-light="false"] .steerlens-explorer .failed,
[data-vscode-theme-kind="vscode-dark"] .steerlens-explorer .failed { color: #ff8078; }
"""
