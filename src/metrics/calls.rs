//! What becomes of calls: how many of each method ended with which code, how long they took, and why they were
//! refused.

use std::{collections::HashMap, time::Duration};

use super::{Number, histogram::Histogram, page::Page};

/// The codes of gRPC, by their numbers.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The number of a code of gRPC.
pub type Code = usize;

/// A method that is served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Method {
    /// Its path, such as `/chinwag.chat.v1.MessageService/SendMessage`.
    pub path: String,
    /// Whether a call is one question and one answer; how long a stream lasts says nothing.
    pub is_unary: bool,
}

/// What became of calls.
#[derive(Debug)]
pub struct Calls {
    /// By path.
    places: HashMap<String, usize>,
    methods: Vec<Counted>,
    /// Calls of what is not served.
    unknown: Counted,
    refusals: Vec<(&'static str, Number)>,
    other_refusals: Number,
}

#[derive(Debug)]
struct Counted {
    path: String,
    is_unary: bool,
    codes: [Number; CODES.len()],
    took: Histogram,
}

impl Counted {
    fn new(method: Method) -> Counted {
        let Method { path, is_unary } = method;
        Counted { path, is_unary, codes: Default::default(), took: Histogram::of_durations() }
    }
}

impl Default for Calls {
    fn default() -> Calls {
        Calls::new(Vec::new())
    }
}

impl Calls {
    /// Nothing counted yet.
    pub fn new(methods: Vec<Method>) -> Calls {
        let paths = methods.iter().map(|method| method.path.clone());
        Calls {
            places: paths.zip(0..).collect(),
            methods: methods.into_iter().map(Counted::new).collect(),
            unknown: Counted::new(Method { path: "/unknown/unknown".into(), is_unary: false }),
            refusals: Vec::new(),
            other_refusals: Number::default(),
        }
    }

    /// The same, where refusals have these reasons; all others count as `OTHER`.
    pub fn with_reasons(mut self, reasons: &[&'static str]) -> Calls {
        self.refusals = reasons.iter().map(|reason| (*reason, Number::default())).collect();
        self
    }

    /// The name of a code.
    pub fn name(code: Code) -> &'static str {
        CODES.get(code).copied().unwrap_or(CODES[2])
    }

    /// Which method a path means; give it to [`Calls::ended`].
    pub fn place(&self, path: &str) -> Option<usize> {
        self.places.get(path).copied()
    }

    /// The path of the method at this place.
    pub fn path(&self, place: Option<usize>) -> &str {
        &self.counted(place).path
    }

    /// Whether a call of the method at this place is one question and one answer.
    pub fn is_unary(&self, place: Option<usize>) -> bool {
        self.counted(place).is_unary
    }

    /// A call ended.
    pub fn ended(&self, place: Option<usize>, code: Code, took: Duration) {
        let method = self.counted(place);
        method.codes[if code < CODES.len() { code } else { 2 }].count();
        if method.is_unary {
            method.took.time(took);
        }
    }

    /// A call was refused for this reason.
    pub fn refused(&self, reason: &str) {
        let known = self.refusals.iter().find(|(known, _)| *known == reason);
        known.map_or(&self.other_refusals, |(_, number)| number).count();
    }

    fn counted(&self, place: Option<usize>) -> &Counted {
        place.and_then(|place| self.methods.get(place)).unwrap_or(&self.unknown)
    }

    /// Writes everything down. A method that nobody called stands there with its OK alone.
    pub fn write(&self, page: &mut Page) {
        let all = || self.methods.iter().chain([&self.unknown]);
        let mut ended = page.counter(
            "chinwag_rpc_handled_total",
            "Calls that ended, by method and gRPC code; CANCELLED are those that the caller left.",
        );
        for method in all() {
            for (code, number) in CODES.iter().zip(&method.codes) {
                if number.get() > 0 || *code == CODES[0] {
                    let (service, name) = parts(&method.path);
                    let labels = [("service", service), ("method", name), ("code", *code)];
                    ended.number(&labels, number.get());
                }
            }
        }
        let mut took = page.histogram(
            "chinwag_rpc_duration_seconds",
            "From a call's first byte to its answer's last, of calls that are no streams.",
        );
        for method in all().filter(|method| method.took.total() > 0) {
            let (service, name) = parts(&method.path);
            took.histogram(&[("service", service), ("method", name)], &method.took);
        }
        let mut refused =
            page.counter("chinwag_refusals_total", "Calls that were refused, by reason.");
        for (reason, number) in &self.refusals {
            refused.number(&[("reason", *reason)], number.get());
        }
        refused.number(&[("reason", "OTHER")], self.other_refusals.get());
    }
}

/// The service and the method of a path.
fn parts(path: &str) -> (&str, &str) {
    path.trim_start_matches('/').split_once('/').unwrap_or((path, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls() -> Calls {
        let method = |path: &str, is_unary| Method { path: path.into(), is_unary };
        Calls::new(vec![method("/a.B/Ask", true), method("/a.B/Listen", false)])
            .with_reasons(&["NOT_LEADER"])
    }

    fn text(calls: &Calls) -> String {
        let mut page = Page::default();
        calls.write(&mut page);
        page.into_text()
    }

    #[test]
    fn calls_are_counted_by_method_and_code_and_only_single_answers_are_timed() {
        let calls = calls();
        for (path, code) in
            [("/a.B/Ask", 0), ("/a.B/Ask", 14), ("/a.B/Listen", 0), ("/stranger.Words/Here", 12)]
        {
            calls.ended(calls.place(path), code, Duration::from_millis(1));
        }
        let text = text(&calls);
        for line in [
            "chinwag_rpc_handled_total{service=\"a.B\",method=\"Ask\",code=\"OK\"} 1\n",
            "chinwag_rpc_handled_total{service=\"a.B\",method=\"Ask\",code=\"UNAVAILABLE\"} 1\n",
            "chinwag_rpc_handled_total{service=\"a.B\",method=\"Listen\",code=\"OK\"} 1\n",
            "chinwag_rpc_duration_seconds_count{service=\"a.B\",method=\"Ask\"} 2\n",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains("duration_seconds_count{service=\"a.B\",method=\"Listen\""));
        assert!(!text.contains("Words"), "a stranger's words are in no label:\n{text}");
        assert!(text.contains("method=\"unknown\",code=\"UNIMPLEMENTED\"} 1\n"), "{text}");
    }

    #[test]
    fn a_reason_that_nobody_knows_makes_no_series() {
        let calls = calls();
        calls.refused("NOT_LEADER");
        calls.refused("SOMETHING_ELSE");
        let text = text(&calls);
        assert!(text.contains("chinwag_refusals_total{reason=\"NOT_LEADER\"} 1\n"), "{text}");
        assert!(text.contains("chinwag_refusals_total{reason=\"OTHER\"} 1\n"), "{text}");
        assert!(!text.contains("SOMETHING_ELSE"));
    }
}
