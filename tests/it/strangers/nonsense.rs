//! Messages that are well formed as protobuf and mean nothing: every field of a type with values that
//! nobody sends, drawn from a seed.

use bytes::{BufMut as _, Bytes};
use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint},
};
use prost_types::{
    DescriptorProto, FieldDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

use super::calls::{Method, Surface};
use chinwag::wire::cluster::Envelope;

const ENVELOPE: &str = ".chinwag.cluster.v1.Envelope";
const EPOCH: &str = ".chinwag.cluster.v1.Epoch";
/// Numbers at which something may overflow or be taken for something else.
const NUMBERS: [u64; 10] =
    [0, 1, 2, 3, 7, u32::MAX as u64, 1 << 32, i64::MAX as u64, 1 << 63, u64::MAX];
/// Lengths around those of a uuid and of a hash.
const LENGTHS: [usize; 8] = [0, 1, 15, 16, 31, 32, 33, 300];
/// Messages in messages go no deeper.
const DEPTH: usize = 6;

/// Draws nonsense; the same seed, the same nonsense.
pub(super) struct Nonsense<'a> {
    surface: &'a Surface,
    /// Whether every message can at least be decoded.
    decodable: bool,
    state: u64,
}

impl<'a> Nonsense<'a> {
    pub(super) fn new(surface: &'a Surface, seed: u64) -> Nonsense<'a> {
        Nonsense { surface, decodable: false, state: seed }
    }

    /// Nonsense that gRPC itself takes no offence at.
    pub(super) fn decodable(surface: &'a Surface, seed: u64) -> Nonsense<'a> {
        Nonsense { surface, decodable: true, state: seed }
    }

    /// A request of this call under this envelope, with nonsense in all other fields.
    pub(super) fn request(&mut self, method: &Method, envelope: &Envelope) -> Bytes {
        let surface = self.surface;
        let kind = &surface.types[&method.request];
        let mut out = Vec::new();
        for field in &kind.field {
            if field.type_name() == ENVELOPE {
                put_bytes(field.number(), &envelope.encode_to_vec(), &mut out);
            } else {
                self.field(field, DEPTH, &mut out);
            }
        }
        out.into()
    }

    /// Any bytes at all.
    pub(super) fn bytes(&mut self, length: usize) -> Bytes {
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    fn message(&mut self, kind: &DescriptorProto, depth: usize) -> Vec<u8> {
        let mut out = Vec::new();
        for field in &kind.field {
            self.field(field, depth, &mut out);
        }
        out
    }

    /// A field: absent, once, or some times where that is allowed.
    fn field(&mut self, field: &FieldDescriptorProto, depth: usize, out: &mut Vec<u8>) {
        let most = if field.label() == Label::Repeated { 4 } else { 2 };
        // Most fields are there, or nothing deep would ever be reached.
        let times = if self.below(5) == 0 { 0 } else { 1 + self.below(most - 1) };
        for _ in 0..times {
            self.value(field, depth, out);
        }
    }

    fn value(&mut self, field: &FieldDescriptorProto, depth: usize, out: &mut Vec<u8>) {
        let surface = self.surface;
        let number = field.number();
        match field.r#type() {
            Type::Message if field.type_name() == EPOCH => {
                let epoch = chinwag::wire::cluster::Epoch {
                    number: self.number(),
                    server: [0, 1, 2, 3, 99][self.below(5)],
                };
                put_bytes(number, &epoch.encode_to_vec(), out);
            }
            Type::Message => {
                let kind = surface.types.get(field.type_name());
                let inside =
                    match kind.filter(|_| self.decodable || depth > 0 && self.below(12) > 0) {
                        Some(kind) => self.message(kind, depth - 1),
                        None => self.bytes(20).to_vec(),
                    };
                put_bytes(number, &inside, out);
            }
            Type::String if self.decodable => put_bytes(number, b"nonsense", out),
            Type::String => put_bytes(number, b"nonsense \xff\0\n"[..self.below(12)].as_ref(), out),
            Type::Bytes => {
                let length = LENGTHS[self.below(LENGTHS.len())];
                let bytes = self.bytes(length);
                put_bytes(number, &bytes, out);
            }
            Type::Bool => put_number(number, self.next() % 2, out),
            _ => put_number(number, self.number(), out),
        }
    }

    fn number(&mut self) -> u64 {
        NUMBERS[self.below(NUMBERS.len())]
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).expect("small")).expect("small")
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn put_bytes(field: i32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(u32::try_from(field).expect("a field's number"), WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.put_slice(bytes);
}

fn put_number(field: i32, number: u64, out: &mut Vec<u8>) {
    encode_key(u32::try_from(field).expect("a field's number"), WireType::Varint, out);
    encode_varint(number, out);
}
