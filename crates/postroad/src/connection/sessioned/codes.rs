//! Codes with which streams are refused or given up, and what they mean in words.

use smrp::Code;

/// The stream carries something else than what is taken here.
pub(crate) const OTHER_CONTENT: Code = Code::new(0x1001);

/// What a code says about a stream, for people.
pub(crate) fn words(code: Code) -> String {
    let known = match code {
        OTHER_CONTENT => "the other end does not speak this there",
        Code::NOT_FOUND => "the other end has nothing of that name",
        Code::FORBIDDEN => "the other end does not allow it to who we are",
        Code::REFUSED => "the other end takes nothing more",
        Code::CANCELLED => "the other end let go of it",
        _ => return format!("the other end gave it up ({code})"),
    };
    format!("{known} ({code})")
}
