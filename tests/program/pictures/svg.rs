//! A drawing in SVG that is readable on a light and on a dark page.

use std::fmt::Write;

/// A drawing under construction.
pub struct Svg {
    width: f64,
    height: f64,
    style: String,
    body: String,
}

const STYLE: &str = "
    text { font: 12px ui-monospace, 'DejaVu Sans Mono', monospace; fill: #1d1f21; }
    .page { fill: #ffffff; stroke: #d9dad5; }
    .faint { fill: #5f666d; font-size: 10px; }
    .grid { stroke: #d9dad5; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6e6e3; }
      .page { fill: #1f2226; stroke: #363b41; }
      .faint { fill: #9aa2aa; }
      .grid { stroke: #363b41; }
    }
";

pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

impl Svg {
    /// A drawing with more rules of style.
    pub fn new(width: f64, height: f64, title: &str, style: &str) -> Self {
        let mut svg = Svg {
            width,
            height,
            style: format!("{STYLE}{style}"),
            body: format!("  <title>{}</title>\n", escape(title)),
        };
        svg.rect("page", 0.5, 0.5, width - 1.0, height - 1.0);
        svg
    }

    pub fn rect(&mut self, class: &str, x: f64, y: f64, width: f64, height: f64) {
        let _ = writeln!(
            self.body,
            "  <rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"2\"/>"
        );
    }

    pub fn line(&mut self, class: &str, x1: f64, y1: f64, x2: f64, y2: f64) {
        let _ = writeln!(
            self.body,
            "  <line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>"
        );
    }

    pub fn text(&mut self, attributes: &str, x: f64, y: f64, text: &str) {
        let _ = writeln!(
            self.body,
            "  <text {attributes} x=\"{x}\" y=\"{y}\" xml:space=\"preserve\">{}</text>",
            escape(text)
        );
    }

    pub fn end(self) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\">\n  <style>{2}  </style>\n{3}</svg>\n",
            self.width, self.height, self.style, self.body
        )
    }
}
