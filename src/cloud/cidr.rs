//! Ranges of addresses.

use std::net::IpAddr;

/// A range: `10.0.0.0/8`, `2001:db8::/32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cidr {
    bits: u128,
    length: u32,
    width: u32,
}

impl Cidr {
    /// Reads one; `None` where it is none.
    pub fn read(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/')?;
        let length: u32 = length.parse().ok()?;
        let (bits, width) = match address.parse().ok()? {
            IpAddr::V4(four) => (u128::from(four.to_bits()), 32),
            IpAddr::V6(six) => (six.to_bits(), 128),
        };
        (length <= width).then_some(Self { bits, length, width })
    }

    /// Whether every address of the other is one of these.
    pub fn covers(self, other: Self) -> bool {
        let drop = self.width - self.length;
        let start = |bits: u128| bits.checked_shr(drop).unwrap_or(0);
        self.width == other.width && self.length <= other.length && start(self.bits) == start(other.bits)
    }

    /// Whether it is every address of its family.
    pub fn is_everything(self) -> bool {
        self.length == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_covers_itself_and_what_is_within() {
        for (wide, narrow, covers) in [
            ("10.0.0.0/8", "10.1.2.0/24", true),
            ("10.1.2.0/24", "10.1.2.0/24", true),
            ("10.1.2.0/24", "10.0.0.0/8", false),
            ("10.1.0.0/16", "10.2.0.0/24", false),
            ("0.0.0.0/0", "192.168.0.1/32", true),
            ("::/0", "2001:db8::/32", true),
            ("0.0.0.0/0", "2001:db8::/32", false),
            ("2001:db8::/32", "2001:db8:1::/48", true),
            ("2001:db8:2::/48", "2001:db8:1::/48", false),
        ] {
            let (wide, narrow) = (Cidr::read(wide).unwrap(), Cidr::read(narrow).unwrap());
            assert_eq!(wide.covers(narrow), covers, "{wide:?} {narrow:?}");
        }
        for text in ["", "10.0.0.0", "10.0.0.0/33", "x/8", "10.0.0.0/-1"] {
            assert_eq!(Cidr::read(text), None, "{text}");
        }
    }
}
