//! Run-time choice of SIMD kernels.
//!
//! A kernel is a [`WithSimd`] of `pulp`, compiled once for each level and chosen when the program runs. A kernel of the
//! features may widen a loop, but not change it: every lane holds another frame, column or element and goes through the same
//! IEEE operations in the same order, without a fused multiply-add, and a sum along lanes is written as a fixed number of
//! partial sums. So a level changes how long a number takes, never the number. (Convolutions do use fused multiply-adds
//! where the processor has them, which the scalar level does not.)
//!
//! The environment variable `TONEARM_SIMD`, read once, holds the level down: `scalar`, `v3` (AVX2) or `v4` (AVX-512). Any
//! other value, `auto` among them, and a level that the processor lacks mean the best one that it has.

pub mod lane;

use std::{cell::Cell, sync::OnceLock};

pub use pulp::{Simd, WithSimd};

/// One set of kernels that this processor can run.
#[derive(Clone, Copy, Debug)]
pub struct Level {
    name: &'static str,
    arch: pulp::Arch,
}

thread_local! {
    static FORCED: Cell<Option<Level>> = const { Cell::new(None) };
}

impl Level {
    /// Every level of this processor, the narrowest (`scalar`) first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut levels = vec![Self { name: "scalar", arch: pulp::Arch::Scalar }];
        #[cfg(target_arch = "x86_64")]
        {
            levels.extend(pulp::x86::V3::try_new().map(|v3| Self { name: "v3", arch: pulp::Arch::V3(v3) }));
            levels.extend(pulp::x86::V4::try_new().map(|v4| Self { name: "v4", arch: pulp::Arch::V4(v4) }));
        }
        #[cfg(not(target_arch = "x86_64"))]
        levels.push(Self { name: "native", arch: pulp::Arch::new() });
        levels
    }

    /// The level in use on this thread: that of [`with_level`], else that of `TONEARM_SIMD`, else the best.
    #[must_use]
    pub fn current() -> Self {
        static CHOSEN: OnceLock<Level> = OnceLock::new();
        FORCED.get().unwrap_or_else(|| {
            *CHOSEN.get_or_init(|| Self::choose(std::env::var("TONEARM_SIMD").ok().as_deref(), &Self::available()))
        })
    }

    /// `scalar`, `v3`, `v4`, or `native` where the processor is not an x86-64.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Runs `kernel` at this level.
    ///
    /// What `with_simd` calls must be `#[inline(always)]`, or it is compiled for the narrowest processor.
    #[inline]
    pub fn dispatch<K: WithSimd>(self, kernel: K) -> K::Output {
        self.arch.dispatch(kernel)
    }

    /// The level called `wanted`, or the last (best) of `available`, which begins with the scalar one.
    fn choose(wanted: Option<&str>, available: &[Self]) -> Self {
        let best = available.last().copied().unwrap_or(Self { name: "scalar", arch: pulp::Arch::Scalar });
        available.iter().copied().find(|level| Some(level.name) == wanted).unwrap_or(best)
    }
}

/// Runs `kernel` at the level in use: [`Level::dispatch`] of [`Level::current`].
#[inline]
pub fn dispatch<K: WithSimd>(kernel: K) -> K::Output {
    Level::current().dispatch(kernel)
}

/// Runs `f` with `level` in use on this thread (not on threads that `f` starts): for tests and benchmarks.
pub fn with_level<R>(level: Level, f: impl FnOnce() -> R) -> R {
    /// Puts the level back even if `f` panics.
    struct Restore(Option<Level>);
    impl Drop for Restore {
        fn drop(&mut self) {
            FORCED.set(self.0);
        }
    }
    let _restore = Restore(FORCED.replace(Some(level)));
    f()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F64_LANES
        }
    }

    #[test]
    fn every_level_runs_at_its_own_width_and_is_put_back() {
        let before = Level::current().name();
        let widths: Vec<_> = Level::available().into_iter().map(|l| with_level(l, || dispatch(Lanes))).collect();
        assert_eq!(widths[0], 1);
        assert!(widths.is_sorted());
        assert_eq!(Level::current().name(), before);
    }

    #[test]
    fn an_unknown_or_missing_level_means_the_best() {
        let all = Level::available();
        let best = all.last().map(|l| l.name());
        for wanted in [None, Some("auto"), Some("v9"), Some("")] {
            assert_eq!(Some(Level::choose(wanted, &all).name()), best);
        }
        assert_eq!(Level::choose(Some("scalar"), &all).name(), "scalar");
        assert_eq!(Level::choose(Some("v4"), &all[..1]).name(), "scalar");
    }
}
