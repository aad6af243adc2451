//! Chance from a seed (SplitMix64), so that a run's choices can be made again.

/// See the file's header.
pub(crate) struct Dice(u64);

impl Dice {
    /// The same choices for the same seed.
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// A number from 0, below `sides`.
    pub(crate) fn draw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % sides
    }

    /// One of these.
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let count = u64::try_from(of.len()).expect("few");
        &of[usize::try_from(self.draw(count)).expect("few")]
    }

    /// Whether something happens that happens `of` in a hundred times.
    pub(crate) fn percent(&mut self, of: u64) -> bool {
        self.draw(100) < of
    }
}
