//! The codec in both widths, against bytes written by hand from the C layout.

use alloc::vec;
use alloc::vec::Vec;

use super::{
    LAYOUT_32, LAYOUT_64, MAX_ENTRY_BYTES, Operation, Request, Response, Segment, Segments, Status,
};

fn direct(segments: Vec<Segment>) -> Request {
    Request {
        operation: Operation::READ,
        handle: 0xCA01,
        id: 0x1122_3344_5566_7788,
        sector: 0x0102_0304_0506_0708,
        segments: Segments::Direct(segments),
    }
}

#[test]
fn direct_request_has_the_c_layout() {
    let request = direct(vec![Segment {
        grant: 0xA1B2_C3D4,
        first: 1,
        last: 7,
    }]);
    let head = [0, 1, 0x01, 0xCA];
    let id = [0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11];
    let sector = [8, 7, 6, 5, 4, 3, 2, 1];
    let segment = [0xD4, 0xC3, 0xB2, 0xA1, 1, 7, 0, 0];
    let wide: Vec<u8> = [&head[..], &[0; 4], &id, &sector, &segment].concat();
    let narrow: Vec<u8> = [&head[..], &id, &sector, &segment].concat();
    assert_eq!(LAYOUT_64.encode(&request)[..32], wide);
    assert_eq!(LAYOUT_32.encode(&request)[..28], narrow);
}

#[test]
fn requests_survive_both_layouts() {
    let full: Vec<Segment> = (0..11)
        .map(|grant| Segment {
            grant,
            first: 0,
            last: 7,
        })
        .collect();
    let indirect = Request {
        operation: Operation::WRITE,
        segments: Segments::Indirect {
            count: 513,
            pages: vec![8, 9],
        },
        ..direct(vec![])
    };
    for layout in [LAYOUT_32, LAYOUT_64] {
        for request in [direct(full.clone()), indirect.clone()] {
            assert_eq!(layout.decode(&layout.encode(&request)), Some(request));
        }
    }
}

#[test]
fn hostile_requests_are_refused() {
    let mut bytes = [0; MAX_ENTRY_BYTES];
    bytes[1] = 12;
    assert_eq!(LAYOUT_64.decode(&bytes), None);
    bytes[0] = 9;
    assert_eq!(LAYOUT_64.decode(&bytes), None);
    bytes[0] = 6;
    bytes[1] = 0;
    bytes[2..4].copy_from_slice(&4097_u16.to_le_bytes());
    assert_eq!(LAYOUT_64.decode(&bytes), None);
}

#[test]
fn responses_survive_both_layouts() {
    let response = Response {
        id: u64::MAX - 1,
        operation: Operation::READ,
        status: Status::ERROR,
    };
    for layout in [LAYOUT_32, LAYOUT_64] {
        let bytes = layout.encode_response(&response);
        assert_eq!(bytes[10..12], [0xFF, 0xFF]);
        assert_eq!(layout.decode_response(&bytes), response);
    }
}
