//! The text format of Prometheus (version 0.0.4).

use std::fmt::Write as _;

use super::histogram::Histogram;

/// A label and its value.
pub type Label<'a> = (&'static str, &'a str);

/// An answer to somebody who scrapes.
#[derive(Debug, Default)]
pub struct Page(String);

impl Page {
    /// What the answer's content is called.
    pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

    /// A number that only grows; its name ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        debug_assert!(name.ends_with("_total"), "{name}");
        self.family(name, help, "counter")
    }

    /// A number that goes up and down.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, help, "gauge")
    }

    /// How often something took how long, or was how large.
    pub fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, help, "histogram")
    }

    /// Everything that was written.
    pub fn into_text(self) -> String {
        self.0
    }

    fn family(&mut self, name: &'static str, help: &str, kind: &str) -> Family<'_> {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
        Family { page: self, name }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // A string takes everything.
        let _ = writeln!(self.0, "{line}");
    }
}

/// The series of one name.
#[derive(Debug)]
pub struct Family<'a> {
    page: &'a mut Page,
    name: &'static str,
}

impl Family<'_> {
    /// One series.
    pub fn value(&mut self, labels: &[Label<'_>], value: f64) -> &mut Self {
        self.sample("", labels, None, value)
    }

    /// One series, of a whole number.
    pub fn number(&mut self, labels: &[Label<'_>], value: u64) -> &mut Self {
        self.value(labels, value as f64)
    }

    /// One series: whether something is so.
    pub fn flag(&mut self, labels: &[Label<'_>], is_so: bool) -> &mut Self {
        self.number(labels, is_so.into())
    }

    /// All series of a histogram.
    pub fn histogram(&mut self, labels: &[Label<'_>], histogram: &Histogram) -> &mut Self {
        let seen = histogram.seen();
        for (bound, count) in seen.until {
            self.sample("_bucket", labels, Some(&bound.to_string()), count as f64);
        }
        self.sample("_bucket", labels, Some("+Inf"), seen.count as f64);
        self.sample("_sum", labels, None, seen.sum);
        self.sample("_count", labels, None, seen.count as f64)
    }

    fn sample(
        &mut self,
        suffix: &str,
        labels: &[Label<'_>],
        bound: Option<&str>,
        value: f64,
    ) -> &mut Self {
        let labels = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        let labels: Vec<String> =
            labels.map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        let name = self.name;
        if labels.is_empty() {
            self.page.line(format_args!("{name}{suffix} {value}"));
        } else {
            self.page.line(format_args!("{name}{suffix}{{{}}} {value}", labels.join(",")));
        }
        self
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_prometheus_reads() {
        let mut page = Page::default();
        page.counter("things_total", "How many things.").number(&[], 3);
        page.gauge("weight_bytes", "How heavy.")
            .value(&[("of", "a \"b\\\n")], 0.5)
            .flag(&[("of", "c"), ("at", "d")], true);
        let sizes = Histogram::of(&[1, 10]);
        sizes.size(10);
        page.histogram("size", "How large.").histogram(&[("of", "x")], &sizes);
        let expected = "\
# HELP things_total How many things.
# TYPE things_total counter
things_total 3
# HELP weight_bytes How heavy.
# TYPE weight_bytes gauge
weight_bytes{of=\"a \\\"b\\\\\\n\"} 0.5
weight_bytes{of=\"c\",at=\"d\"} 1
# HELP size How large.
# TYPE size histogram
size_bucket{of=\"x\",le=\"1\"} 0
size_bucket{of=\"x\",le=\"10\"} 1
size_bucket{of=\"x\",le=\"+Inf\"} 1
size_sum{of=\"x\"} 10
size_count{of=\"x\"} 1
";
        assert_eq!(page.into_text(), expected);
    }

    #[test]
    fn bounds_of_durations_are_short_numbers() {
        let mut page = Page::default();
        page.histogram("took_seconds", "How long.").histogram(&[], &Histogram::of_durations());
        let text = page.into_text();
        let bounds = text.split("le=\"").skip(1).filter_map(|rest| rest.split('"').next());
        let long: Vec<&str> = bounds.filter(|bound| bound.len() > "0.00025".len()).collect();
        // What is multiplied by a fraction easily becomes 0.00025000000000000006.
        assert!(long.is_empty() && text.contains("le=\"0.00025\""), "{long:?}");
    }
}
