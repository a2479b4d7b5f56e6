//! The codec against bytes written by hand from the C layout.

use alloc::vec;
use alloc::vec::Vec;

use super::{ENTRY_BYTES, Operation, Request, Response, Segment, Segments, Status};

/// Concatenates fields of whole requests, so that a test shows every byte.
fn entry(fields: &[&[u8]]) -> [u8; ENTRY_BYTES] {
    let mut bytes = fields.concat();
    bytes.resize(ENTRY_BYTES, 0);
    bytes.try_into().unwrap()
}

fn direct(segments: Vec<Segment>) -> Request {
    Request {
        operation: Operation::READ,
        handle: 0xCA01,
        id: 0x1122_3344_5566_7788,
        sector: 0x0102_0304_0506_0708,
        segments: Segments::Direct(segments),
    }
}

const ID: [u8; 8] = [0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11];
const SECTOR: [u8; 8] = [8, 7, 6, 5, 4, 3, 2, 1];

#[test]
fn direct_request_has_the_c_layout() {
    let request = direct(vec![Segment {
        grant: 0xA1B2_C3D4,
        first: 1,
        last: 7,
    }]);
    let segment = [0xD4, 0xC3, 0xB2, 0xA1, 1, 7, 0, 0];
    let expected = entry(&[&[0, 1, 0x01, 0xCA], &[0; 4], &ID, &SECTOR, &segment]);
    assert_eq!(request.encode(), expected);
    assert_eq!(Request::decode(&expected), Some(request));
}

#[test]
fn indirect_request_has_the_c_layout() {
    let request = Request {
        operation: Operation::WRITE,
        segments: Segments::Indirect {
            count: 513,
            pages: vec![8, 0xA1B2_C3D4],
        },
        ..direct(vec![])
    };
    let pages = [8, 0, 0, 0, 0xD4, 0xC3, 0xB2, 0xA1];
    let expected = entry(&[
        &[6, 1, 1, 2],
        &[0; 4],
        &ID,
        &SECTOR,
        &[0x01, 0xCA],
        &[0; 2],
        &pages,
    ]);
    assert_eq!(request.encode(), expected);
    assert_eq!(Request::decode(&expected), Some(request));
}

#[test]
fn the_longest_direct_request_fills_the_entry() {
    let full: Vec<Segment> = (0..11)
        .map(|grant| Segment {
            grant,
            first: 0,
            last: 7,
        })
        .collect();
    let request = direct(full);
    let bytes = request.encode();
    assert_eq!(bytes[ENTRY_BYTES - 8..], [10, 0, 0, 0, 0, 7, 0, 0]);
    assert_eq!(Request::decode(&bytes), Some(request));
}

#[test]
fn hostile_requests_are_refused() {
    let mut bytes = [0; ENTRY_BYTES];
    bytes[1] = 12;
    assert_eq!(Request::decode(&bytes), None);
    bytes[0] = 9;
    assert_eq!(Request::decode(&bytes), None);
    bytes[0] = 6;
    bytes[1] = 0;
    bytes[2..4].copy_from_slice(&4097_u16.to_le_bytes());
    assert_eq!(Request::decode(&bytes), None);
}

#[test]
fn response_has_the_c_layout() {
    let response = Response {
        id: u64::MAX - 1,
        operation: Operation::WRITE,
        status: Status::ERROR,
    };
    let expected = [
        0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 0, 0xFF, 0xFF, 0, 0, 0, 0,
    ];
    assert_eq!(response.encode(), expected);
    assert_eq!(Response::decode(&expected), response);
}
