//! Headers as bytes, which rdkafka does not give: it panics on names that are not UTF-8, and cannot send them.
#![allow(unsafe_code, reason = "rdkafka wraps header names as str only")]

use std::ffi::{CStr, CString};
use std::ptr;

use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka_sys as sys;
use sys::rd_kafka_vtype_t as kind;

use super::raw::{Raw, Sent};

/// Copies a record out of the client.
pub fn copy(message: &BorrowedMessage<'_>) -> Sent {
    let mut headers = Vec::new();
    if let Some(borrowed) = message.headers() {
        // What rdkafka calls `BorrowedHeaders` is librdkafka's own object, seen through a reference.
        let native = ptr::from_ref(borrowed).cast::<sys::rd_kafka_headers_t>();
        for index in 0.. {
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            // SAFETY: the headers live as long as the message; the out-pointers are our own.
            let error = unsafe {
                sys::rd_kafka_header_get_all(native, index, &raw mut name, &raw mut value, &raw mut size)
            };
            if error != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                break;
            }
            // SAFETY: librdkafka gives a NUL-terminated name and `size` bytes of value.
            let (name, value) = unsafe {
                let bytes = (!value.is_null()).then(|| std::slice::from_raw_parts(value.cast::<u8>(), size));
                (CStr::from_ptr(name).to_bytes().to_vec(), bytes.map(<[u8]>::to_vec))
            };
            headers.push((name, value));
        }
    }
    let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    Sent {
        partition: message.partition(),
        offset: message.offset(),
        record: Raw { key: owned(message.key()), value: owned(message.payload()), headers },
    }
}

/// Puts a record into the producer's queue, whatever its header names are.
pub fn produce<C: ProducerContext>(producer: &BaseProducer<C>, topic: &str, partition: i32, raw: &Raw) {
    let topic = CString::new(topic).unwrap();
    // SAFETY: the list is ours until the send takes it over.
    let headers = unsafe { sys::rd_kafka_headers_new(raw.headers.len()) };
    for (name, value) in &raw.headers {
        let (value, size) = pointer(value.as_deref());
        // SAFETY: name and value are copied; a null pointer is a null value.
        let error = unsafe {
            sys::rd_kafka_header_add(headers, name.as_ptr().cast(), name.len() as isize, value, size as isize)
        };
        assert_eq!(error, sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    // SAFETY: a union of plain values, for which all zeros is one.
    let argument = |vtype| sys::rd_kafka_vu_t { vtype, u: unsafe { std::mem::zeroed() } };
    let mut arguments = [
        argument(kind::RD_KAFKA_VTYPE_TOPIC),
        argument(kind::RD_KAFKA_VTYPE_PARTITION),
        argument(kind::RD_KAFKA_VTYPE_MSGFLAGS),
        argument(kind::RD_KAFKA_VTYPE_KEY),
        argument(kind::RD_KAFKA_VTYPE_VALUE),
        argument(kind::RD_KAFKA_VTYPE_HEADERS),
    ];
    let memory = |bytes: Option<&[u8]>| {
        let (ptr, size) = pointer(bytes);
        sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr: ptr.cast_mut(), size }
    };
    arguments[0].u.cstr = topic.as_ptr();
    arguments[1].u.i32_ = partition;
    arguments[2].u.i = sys::RD_KAFKA_MSG_F_COPY | sys::RD_KAFKA_MSG_F_BLOCK;
    arguments[3].u.mem = memory(raw.key.as_deref());
    arguments[4].u.mem = memory(raw.value.as_deref());
    arguments[5].u.headers = headers;
    // SAFETY: each argument is of its kind; key and value are copied (F_COPY), the headers become librdkafka's.
    let error = unsafe {
        sys::rd_kafka_produceva(producer.client().native_ptr(), arguments.as_ptr(), arguments.len())
    };
    assert!(error.is_null(), "librdkafka refuses the record");
}

/// C's way to say it: null for nothing, and something that is not null for nothing in it.
fn pointer(bytes: Option<&[u8]>) -> (*const std::ffi::c_void, usize) {
    bytes.map_or((ptr::null(), 0), |bytes| (bytes.as_ptr().cast(), bytes.len()))
}
