//! Menus, kernels and initrds over the network, from real servers in dom0, each scenario on a bridge of its own.
//!
//! `lan` has the bridge and the servers, `places` what names menu and server, `documented` the examples of the page,
//! `linux` a whole boot of Linux, and `trouble` networks where nobody answers, or not for long.

mod documented;
mod lan;
mod linux;
mod places;
mod trouble;

use std::time::Duration;

use crate::scenario::Scenario;

/// How long one line is waited for. A server without windows sends a block for each round trip, which takes milliseconds
/// in the bed, and more when it is busy.
const ONE_MINUTE: Duration = Duration::from_secs(60);
const FOUR_MINUTES: Duration = Duration::from_secs(240);
const FIVE_MINUTES: Duration = Duration::from_secs(300);

pub(super) const TABLE: &[Scenario] = &[
    Scenario {
        name: "net-big-initrd",
        limit: FIVE_MINUTES,
        mib: places::BIG_MIB,
        run: places::big_initrd,
    },
    Scenario {
        name: "net-option-150",
        limit: FOUR_MINUTES,
        mib: 256,
        run: linux::option_150,
    },
    Scenario {
        name: "net-option-150-alone",
        limit: FOUR_MINUTES,
        mib: 64,
        run: places::option_150_alone,
    },
    Scenario {
        name: "net-option-150-addresses",
        limit: FOUR_MINUTES,
        mib: 64,
        run: places::option_150_addresses,
    },
    Scenario {
        name: "net-kernel-on-disk",
        limit: FOUR_MINUTES,
        mib: 64,
        run: places::kernel_on_disk,
    },
    Scenario {
        name: "net-dnsmasq-67",
        limit: FOUR_MINUTES,
        mib: 64,
        run: places::dnsmasq_67,
    },
    Scenario {
        name: "net-dnsmasq-66-argument",
        limit: FOUR_MINUTES,
        mib: 64,
        run: places::dnsmasq_66_argument,
    },
    Scenario {
        name: "net-as-documented",
        limit: FOUR_MINUTES,
        mib: 64,
        run: documented::examples,
    },
    Scenario {
        name: "net-several-interfaces",
        limit: FOUR_MINUTES,
        mib: 64,
        run: places::several_interfaces,
    },
    Scenario {
        name: "net-32bit",
        limit: FOUR_MINUTES,
        mib: 192,
        run: places::wide32,
    },
    Scenario {
        name: "net-prompt",
        limit: FOUR_MINUTES,
        mib: 64,
        run: places::prompt,
    },
    Scenario {
        name: "net-lease-renewed",
        limit: FOUR_MINUTES,
        mib: 64,
        run: trouble::lease_renewed,
    },
    Scenario {
        name: "net-lossy",
        limit: FOUR_MINUTES,
        mib: 64,
        run: trouble::lossy,
    },
    Scenario {
        name: "net-server-dies-prompt",
        limit: FOUR_MINUTES,
        mib: 64,
        run: trouble::server_dies_prompt,
    },
    Scenario {
        name: "net-server-dies-fallback",
        limit: FOUR_MINUTES,
        mib: 64,
        run: trouble::server_dies_fallback,
    },
    Scenario {
        name: "net-silent-menu-on-disk",
        limit: FOUR_MINUTES,
        mib: 256,
        run: trouble::silent_with_menu_on_disk,
    },
    Scenario {
        name: "net-silent-no-menu",
        limit: FOUR_MINUTES,
        mib: 64,
        run: trouble::silent_without_menu,
    },
];
