"""How the page looks: theme, colours of the curves, style sheet."""

from __future__ import annotations

COLORS = {"should go": "#c2410c", "should stay": "#0369a1", "never seen": "#64748b"}  # also for the colour-blind
CSS = """
.gradio-container {width: 100%; max-width: min(1240px, 100vw) !important; margin: 0 auto !important}
.gradio-container > .main, .gradio-container .wrap:has(> main), .gradio-container main {min-width: 0; width: 100%;
  max-width: 100%}
.gradio-container main {padding: 12px 16px 64px}
.gradio-container .lead h1 {font-size: 1.6rem; font-weight: 650; margin: 8px 0 2px; letter-spacing: -.01em}
.gradio-container .lead p {color: var(--body-text-color-subdued); margin: 0 0 6px; font-size: 1rem}
.hint, .hint .prose, .hint p, p.hint {color: var(--body-text-color-subdued) !important; font-size: .9rem !important;
  line-height: 1.45 !important; margin: 0}
.hint strong {color: var(--body-text-color); font-weight: 600}
th, td, .cell-wrap, .header-content {font-family: var(--font) !important}
.tab-container button.selected {color: var(--link-text-color) !important; font-weight: 600}
#what textarea {font-size: 1.05rem; line-height: 1.5}
#source label {padding: 6px 12px}
.gr-group > .styler {background: var(--block-background-fill) !important}
.block.about {padding: 8px 14px 10px !important}
.now textarea {font-weight: 600}
.about small {font-size: .82rem}
.secondary-wrap input {text-overflow: ellipsis; padding-right: 4px}
#unlearn-button {min-height: 48px; font-size: 1.05rem}
.prose section.job, .prose section.card {border: 1px solid var(--border-color-primary); border-left-width: 4px;
  border-radius: 10px; padding: 16px 20px; background: var(--block-background-fill)}
.job p, .card p {margin: 0}
.job-head {display: flex; flex-wrap: wrap; gap: 4px 10px; align-items: baseline; font-size: 1.1rem}
.job-head strong {overflow-wrap: anywhere; line-height: 1.3; font-size: 1.05rem}
.job-name {color: var(--body-text-color-subdued); font-size: .85rem; overflow-wrap: anywhere}
.job-facts {color: var(--body-text-color-subdued); overflow-wrap: anywhere; white-space: pre-line}
.job-result {margin-top: 8px !important; overflow-wrap: anywhere}
.job progress {width: 100%; height: 10px; margin: 12px 0 8px; appearance: none; border: 0; border-radius: 99px;
  overflow: hidden; background: var(--border-color-primary)}
.job progress::-webkit-progress-bar {background: var(--border-color-primary)}
.job progress::-webkit-progress-value {background: #0f766e}
.job progress::-moz-progress-bar {background: #0f766e}
.job progress:not([value])::-webkit-progress-bar, .job progress:not([value]) {background:
  linear-gradient(90deg, transparent, #0f766e, transparent) 0 0 / 40% 100% repeat-x var(--border-color-primary);
  animation: working 2s linear infinite}
@keyframes working {from {background-position: 0 0} to {background-position: 166% 0}}
@media (prefers-reduced-motion: reduce) {.job progress {animation: none !important}}
.job-failed progress::-webkit-progress-value, .job-diverged progress::-webkit-progress-value {background: #b91c1c}
.job-failed progress::-moz-progress-bar, .job-diverged progress::-moz-progress-bar {background: #b91c1c}
.badge.badge {font-size: .8rem; font-weight: 600; padding: 2px 10px; border-radius: 99px; background: #e2e8f0;
  color: #1e293b}
.prose section.job-running {border-left-color: #0f766e} .job-running .badge {background: #ccfbf1; color: #115e59}
.prose section:is(.job-finished, .card-good) {border-left-color: #15803d}
:is(.job-finished, .card-good) .badge {background: #dcfce7; color: #14532d}
.prose section:is(.job-failed, .job-diverged, .card-bad) {border-left-color: #b91c1c}
:is(.job-failed, .job-diverged, .card-bad) .badge {background: #fee2e2; color: #7f1d1d}
.prose section:is(.job-collapsed, .job-stopped, .job-interrupted, .card-unsure) {border-left-color: #b45309}
:is(.job-collapsed, .job-stopped, .job-interrupted, .card-unsure) .badge {background: #fef3c7; color: #78350f}
.card h3 {margin: 0 0 6px; font-size: 1.1rem; display: flex; flex-wrap: wrap; gap: 4px 10px; align-items: baseline}
.card h3.big {font-size: 1.35rem}
.card h4 {margin: 14px 0 2px; font-size: .95rem}
.card ul, .card ol {margin: 0; padding-left: 1.2em} .card li {margin: 4px 0}
.card details {margin-top: 14px} .card summary {cursor: pointer}
.tiles {display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 12px; margin: 14px 0 0}
.tiles > div {background: var(--background-fill-secondary); border-radius: 8px; padding: 12px 14px}
.tiles dt {font-weight: 600; margin: 0} .tiles dd {margin: 0}
.tiles .figure {font-size: 1.5rem; font-weight: 650; letter-spacing: -.01em; margin: 2px 0}
.tiles .note {color: var(--body-text-color-subdued); font-size: .85rem}
#command .cm-editor, #command-ran .cm-editor {height: auto !important; min-height: 0 !important}
#command .wrap, #command-ran .wrap, #command .codemirror-wrapper, #command-ran .codemirror-wrapper
  {min-height: 0 !important}
#command-ran {flex: 0 0 auto !important}
.plot > div:last-child {height: calc(100% - 36px) !important}
.figures img {height: auto !important; object-fit: contain !important}
.figures .thumbnail-lg {aspect-ratio: auto !important; height: auto !important}
textarea, input, td, .cell-wrap span {unicode-bidi: plaintext}
button.primary, a.primary {background: #0f766e !important; color: #fff !important}
button.primary:hover {background: #115e59 !important}
button.stop {border: 1px solid #b91c1c !important; color: #b91c1c !important; background: transparent !important}
.dark button.stop {border-color: #fca5a5 !important; color: #fca5a5 !important}
button:focus-visible, input:focus-visible, textarea:focus-visible, a:focus-visible, summary:focus-visible,
[tabindex]:focus-visible, label:has(input:focus-visible) {outline: 3px solid #0284c7 !important; outline-offset: 2px}
.dark :is(button, input, textarea, a, summary, [tabindex]):focus-visible, .dark label:has(input:focus-visible)
  {outline-color: #7dd3fc !important}
.tabitem, .tabs, .column, .row > *, .block, .table-wrap {min-width: 0; max-width: 100%}
@media (max-width: 768px) {
  .gradio-container .main.fillable {padding: 6px 8px !important}
  .gradio-container main {padding: 2px 2px 40px !important}
  .gradio-container .lead h1 {font-size: 1.2rem}
  .gradio-container .lead p {font-size: .95rem}
  .html-container {padding: 4px !important}
  .tab-container button {padding: 0 9px !important}
  .gallery-container .grid-container {grid-template-columns: 1fr !important}
  .prose section.job, .prose section.card {padding: 12px 14px}
  .wide :is([role=gridcell], [role=columnheader], th, td) {min-width: 120px !important}
  .wide .header-row {flex-wrap: wrap !important; height: auto !important}
  .wide .header-row > :first-child {flex: 1 0 100% !important}
  .wide::after {content: "Swipe sideways for more columns \\2192"; display: block; padding: 4px 10px 8px;
    color: var(--body-text-color-subdued); font-size: .85rem}
  .card h3.big {font-size: 1.15rem}
  #desk-row:has(#live section.job) {flex-direction: column-reverse}
}
"""


def theme():
    """Gradio's plain theme with fonts of the system; the shipped greys are too faint to read."""
    import gradio as gr

    return gr.themes.Base(
        primary_hue="teal",
        neutral_hue="slate",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
        radius_size="md",
    ).set(
        body_text_color_subdued="*neutral_600",
        block_info_text_color="*neutral_600",
        block_label_text_color="*neutral_700",
        block_title_text_color="*neutral_700",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_300",
    )
