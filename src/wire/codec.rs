//! How messages become bytes: as tonic's own codec does it, with buffers that begin small. A server holds
//! one for every subscriber that waits, and by default each would be 8 KiB.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{BufferSettings, Codec as Buffered};
use tonic_prost::{ProstDecoder, ProstEncoder};

/// Where a buffer begins; it grows with what is written.
const FIRST_BYTES: usize = 256;
/// Messages that are ready together are sent together up to here, as by default.
const TOGETHER_BYTES: usize = 32 * 1024;

/// Protobuf, in buffers that begin small.
#[derive(Debug)]
pub struct Codec<Encode, Decode>(PhantomData<(Encode, Decode)>);

impl<Encode, Decode> Default for Codec<Encode, Decode> {
    fn default() -> Self {
        Codec(PhantomData)
    }
}

impl<Encode, Decode> Buffered for Codec<Encode, Decode>
where
    Encode: Message + Send + 'static,
    Decode: Message + Default + Send + 'static,
{
    type Encode = Encode;
    type Decode = Decode;
    type Encoder = ProstEncoder<Encode>;
    type Decoder = ProstDecoder<Decode>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(BufferSettings::new(FIRST_BYTES, TOGETHER_BYTES))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(BufferSettings::new(FIRST_BYTES, TOGETHER_BYTES))
    }
}
