//! Every number of `arch::abi` beside the C expression for it.

use arch::abi::blkif;
use arch::abi::start_info::flags;
use arch::abi::{Width, console, grant, ring, shared_info, start_info, xenbus, xs_wire};

/// What the probe includes.
pub(super) const HEADERS: &str = r"
#define __XEN_INTERFACE_VERSION__ __XEN_LATEST_INTERFACE_VERSION__
#include <stdint.h>
#include <stddef.h>
#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/event_channel.h>
#include <xen/io/ring.h>
// As a back end sees requests of the protocol for x86_64, whatever its own width.
typedef uint64_t wide_aligned __attribute__((aligned(8)));
#define uint64_t wide_aligned
#include <xen/io/blkif.h>
#undef uint64_t
#include <xen/io/console.h>
#include <xen/io/xenbus.h>
#include <xen/io/xs_wire.h>
#include <xen/io/protocols.h>
#define FIELD(type, field) offsetof(struct type, field)
#define RING(type) ((4096 - offsetof(struct type##_sring, ring)) / sizeof(union type##_sring_entry))
";

/// A number: ours for both widths, and how C says it.
pub(super) struct Line {
    /// For messages; no blanks.
    pub(super) name: String,
    /// A constant expression.
    pub(super) c: String,
    /// What a 64-bit guest uses.
    pub(super) ours64: i64,
    /// What a 32-bit guest uses.
    pub(super) ours32: i64,
}

/// A number of ours.
trait Number {
    fn number(self) -> i64;
}

macro_rules! numbers {
    ($($kind:ty),*) => {
        $(impl Number for $kind {
            fn number(self) -> i64 {
                // OK to unwrap: these are offsets, sizes and flags of the interface.
                i64::try_from(self).expect("a number of the interface fits 63 bits")
            }
        })*
    };
}
numbers!(usize, u64, u32, u16, u8, i16);

#[derive(Default)]
struct Table(Vec<Line>);

impl Table {
    /// A number that both widths share.
    fn same(&mut self, name: &str, c: &str, ours: impl Number) {
        let ours = ours.number();
        self.add(name, c, ours, ours);
    }

    /// A number that the widths do not share.
    fn each(&mut self, name: &str, c: &str, ours64: impl Number, ours32: impl Number) {
        self.add(name, c, ours64.number(), ours32.number());
    }

    fn add(&mut self, name: &str, c: &str, ours64: i64, ours32: i64) {
        self.0.push(Line {
            name: name.to_owned(),
            c: c.to_owned(),
            ours64,
            ours32,
        });
    }
}

/// All numbers.
pub(super) fn lines() -> Vec<Line> {
    let mut table = Table::default();
    rings(&mut table);
    block(&mut table);
    buses(&mut table);
    start(&mut table);
    shared(&mut table);
    table.0
}

fn rings(table: &mut Table) {
    table.same(
        "ring.req_prod",
        "FIELD(blkif_sring, req_prod)",
        ring::REQ_PROD,
    );
    table.same(
        "ring.req_event",
        "FIELD(blkif_sring, req_event)",
        ring::REQ_EVENT,
    );
    table.same(
        "ring.rsp_prod",
        "FIELD(blkif_sring, rsp_prod)",
        ring::RSP_PROD,
    );
    table.same(
        "ring.rsp_event",
        "FIELD(blkif_sring, rsp_event)",
        ring::RSP_EVENT,
    );
    table.same("ring.entries", "FIELD(blkif_sring, ring)", ring::ENTRIES);
    table.same(
        "ring.blkif_entries",
        "__RD32(RING(blkif))",
        ring::entry_count(blkif::ENTRY_BYTES),
    );
    table.same(
        "console.in",
        "FIELD(xencons_interface, in)",
        console::IN_RING,
    );
    table.same(
        "console.in_bytes",
        "sizeof(((struct xencons_interface *)0)->in)",
        console::IN_BYTES,
    );
    table.same(
        "console.out",
        "FIELD(xencons_interface, out)",
        console::OUT_RING,
    );
    table.same(
        "console.out_bytes",
        "sizeof(((struct xencons_interface *)0)->out)",
        console::OUT_BYTES,
    );
    table.same(
        "console.in_cons",
        "FIELD(xencons_interface, in_cons)",
        console::IN_CONS,
    );
    table.same(
        "console.in_prod",
        "FIELD(xencons_interface, in_prod)",
        console::IN_PROD,
    );
    table.same(
        "console.out_cons",
        "FIELD(xencons_interface, out_cons)",
        console::OUT_CONS,
    );
    table.same(
        "console.out_prod",
        "FIELD(xencons_interface, out_prod)",
        console::OUT_PROD,
    );
}

fn block(table: &mut Table) {
    for (name, c, ours) in [
        (
            "entry",
            "sizeof(union blkif_sring_entry)",
            blkif::ENTRY_BYTES,
        ),
        ("id", "FIELD(blkif_request, id)", blkif::ID),
        (
            "sector",
            "FIELD(blkif_request, sector_number)",
            blkif::SECTOR,
        ),
        ("segments", "FIELD(blkif_request, seg)", blkif::SEGMENTS),
        (
            "indirect_id",
            "FIELD(blkif_request_indirect, id)",
            blkif::ID,
        ),
        (
            "indirect_sector",
            "FIELD(blkif_request_indirect, sector_number)",
            blkif::SECTOR,
        ),
        (
            "indirect_handle",
            "FIELD(blkif_request_indirect, handle)",
            blkif::INDIRECT_HANDLE,
        ),
        (
            "indirect_grants",
            "FIELD(blkif_request_indirect, indirect_grefs)",
            blkif::INDIRECT_GRANTS,
        ),
        (
            "response_operation",
            "FIELD(blkif_response, operation)",
            blkif::RESPONSE_OPERATION,
        ),
        (
            "response_status",
            "FIELD(blkif_response, status)",
            blkif::RESPONSE_STATUS,
        ),
        (
            "response",
            "sizeof(struct blkif_response)",
            blkif::RESPONSE_BYTES,
        ),
    ] {
        table.same(&format!("blkif.{name}"), c, ours);
    }
    table.same("blkif.count", "FIELD(blkif_request, nr_segments)", 1_u8);
    table.same("blkif.handle", "FIELD(blkif_request, handle)", 2_u8);
    table.same(
        "blkif.indirect_op",
        "FIELD(blkif_request_indirect, indirect_op)",
        1_u8,
    );
    table.same(
        "blkif.indirect_count",
        "FIELD(blkif_request_indirect, nr_segments)",
        2_u8,
    );
    table.same(
        "blkif.segment",
        "sizeof(struct blkif_request_segment)",
        blkif::SEGMENT_BYTES,
    );
    table.same(
        "blkif.segment_first",
        "FIELD(blkif_request_segment, first_sect)",
        4_u8,
    );
    table.same(
        "blkif.segment_last",
        "FIELD(blkif_request_segment, last_sect)",
        5_u8,
    );
    table.same(
        "blkif.max_segments",
        "BLKIF_MAX_SEGMENTS_PER_REQUEST",
        blkif::MAX_SEGMENTS,
    );
    table.same(
        "blkif.max_indirect_pages",
        "BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST",
        blkif::MAX_INDIRECT_PAGES,
    );
    table.same("blkif.read", "BLKIF_OP_READ", blkif::Operation::READ.0);
    table.same("blkif.write", "BLKIF_OP_WRITE", blkif::Operation::WRITE.0);
    table.same(
        "blkif.flush",
        "BLKIF_OP_FLUSH_DISKCACHE",
        blkif::Operation::FLUSH.0,
    );
    table.same(
        "blkif.indirect",
        "BLKIF_OP_INDIRECT",
        blkif::Operation::INDIRECT.0,
    );
    table.same("blkif.okay", "BLKIF_RSP_OKAY", blkif::Status::OKAY.0);
    table.same("blkif.error", "BLKIF_RSP_ERROR", blkif::Status::ERROR.0);
    table.same(
        "blkif.unsupported",
        "BLKIF_RSP_EOPNOTSUPP",
        blkif::Status::UNSUPPORTED.0,
    );
    table.same("blkif.cdrom", "VDISK_CDROM", blkif::INFO_CDROM);
    table.same("blkif.removable", "VDISK_REMOVABLE", blkif::INFO_REMOVABLE);
    table.same("blkif.read_only", "VDISK_READONLY", blkif::INFO_READ_ONLY);
    for (at, byte) in blkif::PROTOCOL.bytes().enumerate() {
        // The compiler folds an index into a string constant.
        let c = format!("XEN_IO_PROTO_ABI_X86_64[{at}]");
        table.same(&format!("blkif.protocol_{at}"), &c, byte);
    }
}

fn buses(table: &mut Table) {
    for (name, ours) in [
        ("req", xs_wire::REQ_RING),
        ("rsp", xs_wire::RSP_RING),
        ("req_cons", xs_wire::REQ_CONS),
        ("req_prod", xs_wire::REQ_PROD),
        ("rsp_cons", xs_wire::RSP_CONS),
        ("rsp_prod", xs_wire::RSP_PROD),
        ("server_features", xs_wire::SERVER_FEATURES),
        ("connection", xs_wire::CONNECTION),
        ("error", xs_wire::ERROR),
    ] {
        let c = format!("FIELD(xenstore_domain_interface, {name})");
        table.same(&format!("xs.{name}"), &c, ours);
    }
    table.same("xs.ring", "XENSTORE_RING_SIZE", xs_wire::RING_BYTES);
    table.same("xs.connected", "XENSTORE_CONNECTED", xs_wire::CONNECTED);
    table.same("xs.reconnect", "XENSTORE_RECONNECT", xs_wire::RECONNECT);
    table.same("xs.payload", "XENSTORE_PAYLOAD_MAX", xs_wire::PAYLOAD_MAX);
    table.same(
        "xs.abs_path",
        "XENSTORE_ABS_PATH_MAX",
        xs_wire::ABS_PATH_MAX,
    );
    table.same(
        "xs.rel_path",
        "XENSTORE_REL_PATH_MAX",
        xs_wire::REL_PATH_MAX,
    );
    table.same(
        "xs.header",
        "sizeof(struct xsd_sockmsg)",
        xs_wire::HEADER_BYTES,
    );
    for (at, name) in ["type", "req_id", "tx_id", "len"].into_iter().enumerate() {
        table.same(
            &format!("xs.{name}"),
            &format!("FIELD(xsd_sockmsg, {name})"),
            at * 4,
        );
    }
    for (name, ours) in [
        ("XS_DIRECTORY", xs_wire::Kind::DIRECTORY),
        ("XS_READ", xs_wire::Kind::READ),
        ("XS_WATCH", xs_wire::Kind::WATCH),
        ("XS_UNWATCH", xs_wire::Kind::UNWATCH),
        ("XS_TRANSACTION_START", xs_wire::Kind::TRANSACTION_START),
        ("XS_TRANSACTION_END", xs_wire::Kind::TRANSACTION_END),
        ("XS_WRITE", xs_wire::Kind::WRITE),
        ("XS_MKDIR", xs_wire::Kind::MKDIR),
        ("XS_RM", xs_wire::Kind::RM),
        ("XS_WATCH_EVENT", xs_wire::Kind::WATCH_EVENT),
        ("XS_ERROR", xs_wire::Kind::ERROR),
        ("XS_RESET_WATCHES", xs_wire::Kind::RESET_WATCHES),
        ("XS_DIRECTORY_PART", xs_wire::Kind::DIRECTORY_PART),
    ] {
        table.same(name, name, ours.0);
    }
    for (name, ours) in [
        ("XenbusStateUnknown", xenbus::State::UNKNOWN),
        ("XenbusStateInitialising", xenbus::State::INITIALISING),
        ("XenbusStateInitWait", xenbus::State::INIT_WAIT),
        ("XenbusStateInitialised", xenbus::State::INITIALISED),
        ("XenbusStateConnected", xenbus::State::CONNECTED),
        ("XenbusStateClosing", xenbus::State::CLOSING),
        ("XenbusStateClosed", xenbus::State::CLOSED),
        ("XenbusStateReconfiguring", xenbus::State::RECONFIGURING),
        ("XenbusStateReconfigured", xenbus::State::RECONFIGURED),
    ] {
        table.same(name, name, ours.0);
    }
    table.same(
        "grant.entry",
        "sizeof(struct grant_entry_v1)",
        grant::ENTRY_BYTES,
    );
    table.same("grant.flags", "FIELD(grant_entry_v1, flags)", grant::FLAGS);
    table.same("grant.domid", "FIELD(grant_entry_v1, domid)", grant::DOMID);
    table.same("grant.frame", "FIELD(grant_entry_v1, frame)", grant::FRAME);
    table.same(
        "grant.reserved",
        "GNTTAB_NR_RESERVED_ENTRIES",
        grant::RESERVED_ENTRIES,
    );
    table.same(
        "grant.permit_access",
        "GTF_permit_access",
        grant::PERMIT_ACCESS,
    );
    table.same("grant.read_only", "GTF_readonly", grant::READ_ONLY);
    table.same("grant.reading", "GTF_reading", grant::READING);
    table.same("grant.writing", "GTF_writing", grant::WRITING);
    table.same("domid.self", "DOMID_SELF", arch::DomId::SELF.0);
}

fn start(table: &mut Table) {
    let wide = start_info::layout(Width::Bits64);
    let narrow = start_info::layout(Width::Bits32);
    for (field, ours64, ours32) in [
        ("nr_pages", wide.nr_pages, narrow.nr_pages),
        ("shared_info", wide.shared_info, narrow.shared_info),
        ("flags", wide.flags, narrow.flags),
        ("store_mfn", wide.store_mfn, narrow.store_mfn),
        ("store_evtchn", wide.store_evtchn, narrow.store_evtchn),
        ("console.domU.mfn", wide.console_mfn, narrow.console_mfn),
        (
            "console.domU.evtchn",
            wide.console_evtchn,
            narrow.console_evtchn,
        ),
        ("pt_base", wide.pt_base, narrow.pt_base),
        ("nr_pt_frames", wide.nr_pt_frames, narrow.nr_pt_frames),
        ("mfn_list", wide.mfn_list, narrow.mfn_list),
        ("mod_start", wide.mod_start, narrow.mod_start),
        ("mod_len", wide.mod_len, narrow.mod_len),
        ("cmd_line", wide.cmd_line, narrow.cmd_line),
        ("first_p2m_pfn", wide.first_p2m_pfn, narrow.first_p2m_pfn),
        ("nr_p2m_frames", wide.nr_p2m_frames, narrow.nr_p2m_frames),
    ] {
        let c = format!("FIELD(start_info, {field})");
        table.each(&format!("start_info.{field}"), &c, ours64, ours32);
    }
    table.each(
        "start_info.size",
        "sizeof(struct start_info)",
        wide.size,
        narrow.size,
    );
    table.each("long", "sizeof(unsigned long)", wide.word, narrow.word);
    table.same(
        "start_info.cmd_line_bytes",
        "MAX_GUEST_CMDLINE",
        start_info::CMD_LINE_BYTES,
    );
    table.same(
        "SIF_MULTIBOOT_MOD",
        "SIF_MULTIBOOT_MOD",
        flags::MULTIBOOT_MOD,
    );
    table.same(
        "SIF_MOD_START_PFN",
        "SIF_MOD_START_PFN",
        flags::MOD_START_PFN,
    );
    table.same(
        "SIF_VIRT_P2M_4TOOLS",
        "SIF_VIRT_P2M_4TOOLS",
        flags::VIRT_P2M_4TOOLS,
    );
}

fn shared(table: &mut Table) {
    let wide = shared_info::layout(Width::Bits64);
    let narrow = shared_info::layout(Width::Bits32);
    for (field, ours64, ours32) in [
        (
            "vcpu_info[0].evtchn_upcall_pending",
            wide.upcall_pending,
            narrow.upcall_pending,
        ),
        (
            "vcpu_info[0].evtchn_upcall_mask",
            wide.upcall_mask,
            narrow.upcall_mask,
        ),
        (
            "vcpu_info[0].evtchn_pending_sel",
            wide.pending_sel,
            narrow.pending_sel,
        ),
        ("vcpu_info[0].arch.cr2", wide.cr2, narrow.cr2),
        ("vcpu_info[0].time", wide.time, narrow.time),
        ("evtchn_pending", wide.evtchn_pending, narrow.evtchn_pending),
        ("evtchn_mask", wide.evtchn_mask, narrow.evtchn_mask),
        ("arch.max_pfn", wide.max_pfn, narrow.max_pfn),
        (
            "arch.pfn_to_mfn_frame_list_list",
            wide.frame_list_list,
            narrow.frame_list_list,
        ),
        ("arch.p2m_cr3", wide.p2m_cr3, narrow.p2m_cr3),
        ("arch.p2m_vaddr", wide.p2m_vaddr, narrow.p2m_vaddr),
        (
            "arch.p2m_generation",
            wide.p2m_generation,
            narrow.p2m_generation,
        ),
    ] {
        let c = format!("FIELD(shared_info, {field})");
        table.each(&format!("shared_info.{field}"), &c, ours64, ours32);
    }
    table.each(
        "shared_info.ports",
        "EVTCHN_2L_NR_CHANNELS",
        wide.ports,
        narrow.ports,
    );
    table.same("time.size", "sizeof(struct vcpu_time_info)", 32_u8);
    for (field, ours) in [
        ("version", 0_u8),
        ("tsc_timestamp", 8),
        ("system_time", 16),
        ("tsc_to_system_mul", 24),
        ("tsc_shift", 28),
    ] {
        let c = format!("FIELD(vcpu_time_info, {field})");
        table.same(&format!("time.{field}"), &c, ours);
    }
}
