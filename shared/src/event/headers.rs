//! The header names of the Kafka protocol binding. Nothing else in the project spells them.

use crate::record::Record;

/// What every attribute's header name begins with (CloudEvents Kafka binding 1.0, section 3.2.3).
pub(super) const PREFIX: &str = "ce_";
pub(super) const SPECVERSION: &str = "ce_specversion";
pub(super) const ID: &str = "ce_id";
pub(super) const SOURCE: &str = "ce_source";
pub(super) const TYPE: &str = "ce_type";
pub(super) const TIME: &str = "ce_time";
/// An extension of ours: not to be handled before.
pub(super) const NOT_BEFORE: &str = "ce_notbefore";
/// CloudEvents' expiry time extension: not to be handled after.
pub(super) const EXPIRY: &str = "ce_expirytime";
/// `datacontenttype` is the one attribute without the prefix.
pub(super) const CONTENT_TYPE: &str = "content-type";
/// The only version there is to speak.
pub(super) const VERSION: &str = "1.0";

/// The last header of that attribute: Kafka's headers are a list, and the last one counts.
pub(super) fn find_attribute<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    let value = record
        .headers()
        .filter(|(header, _)| header.strip_prefix(PREFIX.as_bytes()) == Some(name.as_bytes()))
        .last()?
        .1?;
    std::str::from_utf8(value).ok()
}

/// The header that holds the event's id.
pub(crate) const ID_HEADER: &str = ID;
