//! What rdkafka does not give safely, or not fast: header names as bytes, and records many at a time.
//!
//! rdkafka 0.39 panics on a header name that is not UTF-8, and anyone who may write to a topic can send one.
//! This module reads and writes headers as librdkafka has them; `fetch` takes records from it in batches. It is the only
//! one that touches records by pointer, and nothing borrowed from librdkafka leaves it.
#![allow(unsafe_code, reason = "rdkafka wraps header names as str only; see the module's text")]

mod fetch;

use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::slice;

use rdkafka::client::Client;
use rdkafka::error::{IsError, KafkaError, RDKafkaErrorCode};
use rdkafka::producer::ProducerContext;
use rdkafka::util::IntoOpaque;
use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_vtype_t as vtype;

pub(crate) use self::fetch::{BatchConsumer, FetchError, Fetched};

use crate::record::{Origin, Record, RecordBuilder};

type Value = sys::rd_kafka_vu_s__bindgen_ty_1;

/// The largest record that a consumer hands over: librdkafka's `receive.message.max.bytes` by default.
pub(crate) const MAX_FETCHED_BYTES: usize = 100_000_000;

/// Copies a record out of the client's memory. `false` beside it: its headers are there and cannot be read, all of them.
pub(crate) fn copy(
    fetched: &Fetched<'_>,
    topic: &'static str,
    builder: &mut RecordBuilder,
) -> (Record, bool) {
    builder.start(fetched.key(), fetched.value());
    let are_readable = for_each_header(fetched, |name, value| {
        builder.header(name, value);
    });
    let record = builder.finish(Origin {
        topic,
        partition: fetched.partition(),
        offset: fetched.offset(),
        timestamp: fetched.timestamp(),
    });
    (record, are_readable)
}

/// The first header of that name.
pub(crate) fn header(fetched: &Fetched<'_>, wanted: &str) -> Option<Vec<u8>> {
    let mut found = None;
    for_each_header(fetched, |name, value| {
        if found.is_none() && name == wanted.as_bytes() {
            found = value.map(<[u8]>::to_vec);
        }
    });
    found
}

/// `false` where librdkafka cannot read them: too many, or not as Kafka writes them.
fn for_each_header(fetched: &Fetched<'_>, mut each: impl FnMut(&[u8], Option<&[u8]>)) -> bool {
    let mut headers = ptr::null_mut();
    // SAFETY: the message's pointer is valid while `fetched` lives, which is longer than this call.
    let error = unsafe { sys::rd_kafka_message_headers(fetched.as_ptr(), &raw mut headers) };
    if error.is_error() {
        return error == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__NOENT; // a record without headers
    }
    for index in 0.. {
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
        // SAFETY: `headers` belongs to the message; the three out-pointers are our own.
        let error = unsafe {
            sys::rd_kafka_header_get_all(headers, index, &raw mut name, &raw mut value, &raw mut size)
        };
        if error.is_error() {
            return error == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__NOENT; // past the last one
        }
        // SAFETY: librdkafka gives a NUL-terminated name and `size` bytes of value, alive as long as `headers`.
        let (name, value) = unsafe {
            let value = (!value.is_null()).then(|| slice::from_raw_parts(value.cast::<u8>(), size));
            (CStr::from_ptr(name), value)
        };
        each(name.to_bytes(), value);
    }
    true
}

/// A record to send: everything is copied before [`send`] returns.
pub(crate) struct Outgoing<'a, O> {
    pub(crate) topic: &'a CStr,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    /// Milliseconds since 1970; 0 is now.
    pub(crate) timestamp: i64,
    pub(crate) headers: HeaderList,
    /// Comes back with the delivery report.
    pub(crate) opaque: O,
}

/// Hands a record to the producer; its key decides on the partition.
///
/// # Errors
/// librdkafka does not take it, for example because its queue is full: headers and opaque come back.
#[allow(clippy::result_large_err, reason = "an error is rare, and the record in it is sent again")]
pub(crate) fn send<'a, C, O>(
    client: &Client<C>,
    outgoing: Outgoing<'a, O>,
) -> Result<(), (KafkaError, Outgoing<'a, O>)>
where
    C: ProducerContext<DeliveryOpaque = O>,
    O: IntoOpaque,
{
    let Outgoing { topic, key, value, timestamp, headers, opaque } = outgoing;
    let opaque = opaque.into_ptr();
    let memory = |bytes: Option<&[u8]>| sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
        ptr: bytes.map_or(ptr::null_mut(), |bytes| bytes.as_ptr().cast_mut().cast()),
        size: bytes.map_or(0, <[u8]>::len),
    };
    let values = [
        (vtype::RD_KAFKA_VTYPE_TOPIC, Value { cstr: topic.as_ptr() }),
        (vtype::RD_KAFKA_VTYPE_MSGFLAGS, Value { i: sys::RD_KAFKA_MSG_F_COPY }),
        (vtype::RD_KAFKA_VTYPE_KEY, Value { mem: memory(key) }),
        (vtype::RD_KAFKA_VTYPE_VALUE, Value { mem: memory(value) }),
        (vtype::RD_KAFKA_VTYPE_TIMESTAMP, Value { i64_: timestamp }),
        (vtype::RD_KAFKA_VTYPE_HEADERS, Value { headers: headers.0 }),
        (vtype::RD_KAFKA_VTYPE_OPAQUE, Value { ptr: opaque }),
    ]
    .map(|(vtype, u)| sys::rd_kafka_vu_t { vtype, u });
    // SAFETY: every pointer lives until the call returns, and F_COPY lets librdkafka keep none of key and value.
    let error = unsafe { sys::rd_kafka_produceva(client.native_ptr(), values.as_ptr(), values.len()) };
    if error.is_null() {
        std::mem::forget(headers); // librdkafka has taken them over
        return Ok(());
    }
    // SAFETY: not null; ours to read and to destroy, once, here.
    let code = unsafe {
        let code = sys::rd_kafka_error_code(error);
        sys::rd_kafka_error_destroy(error);
        code
    };
    // SAFETY: librdkafka did not take the record, so that its opaque is ours again.
    let opaque = unsafe { O::from_ptr(opaque) };
    let error = KafkaError::MessageProduction(RDKafkaErrorCode::from(code));
    Err((error, Outgoing { topic, key, value, timestamp, headers, opaque }))
}

/// Headers that librdkafka has not taken over yet.
pub(crate) struct HeaderList(*mut sys::rd_kafka_headers_t);

impl HeaderList {
    pub(crate) fn new() -> Self {
        // SAFETY: allocates; nothing can be wrong about the argument, a first guess at the size.
        Self(unsafe { sys::rd_kafka_headers_new(8) })
    }

    /// Adds a header at the end.
    pub(crate) fn add(&self, name: &[u8], value: Option<&[u8]>) -> Result<(), KafkaError> {
        let (data, size) =
            value.map_or((ptr::null(), 0), |value| (value.as_ptr().cast::<c_void>(), value.len()));
        let name_ptr = name.as_ptr().cast::<c_char>();
        // SAFETY: the list is ours; name and value are copied before the call returns.
        let error =
            unsafe { sys::rd_kafka_header_add(self.0, name_ptr, name.len() as isize, data, size as isize) };
        if error.is_error() { Err(KafkaError::MessageProduction(error.into())) } else { Ok(()) }
    }
}

impl Drop for HeaderList {
    fn drop(&mut self) {
        // SAFETY: the list is ours; `send` forgets it when it is not any more.
        unsafe { sys::rd_kafka_headers_destroy(self.0) };
    }
}
