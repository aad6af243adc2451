//! Everything wrong that can be handed in: the contract's code and reason, and no effect.
//!
//! Facts that broke systems before this one stand in `lessons`.

mod fields;
mod programs;
mod sessions;
mod traffic;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::harness::reason;

/// The answer has this code and reason.
pub(crate) fn assert_refused(status: &Status, code: Code, wanted: &str) {
    assert_eq!((status.code(), reason(status).as_str()), (code, wanted), "{status:?}");
    if !wanted.is_empty() {
        let domain = status.get_details_error_info().map(|info| info.domain);
        assert_eq!(domain.as_deref(), Some("chinwag"), "{status:?}");
    }
    assert!(!status.message().is_empty(), "{status:?}");
}

/// The answer names this field as malformed.
pub(crate) fn assert_bad_field(status: &Status, field: &str) {
    assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status:?}");
    let details = status.get_details_bad_request().unwrap_or_else(|| panic!("{field}: {status:?}"));
    let violation = &details.field_violations[0];
    assert!(violation.field.starts_with(field), "{field}: {status:?}");
    assert!(!violation.description.is_empty(), "{field}: {status:?}");
}
