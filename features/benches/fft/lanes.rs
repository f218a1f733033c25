//! Eight numbers that go through the same arithmetic, as a number type of RustFFT.

use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Rem, RemAssign, Sub, SubAssign};

use rustfft::num_traits::{FromPrimitive, Num, One, Signed, Zero};

/// Eight lanes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct F64x8([f64; 8]);

macro_rules! lanewise {
    ($($op:ident $function:ident $assign:ident $assign_function:ident $symbol:tt),*) => {$(
        impl $op for F64x8 {
            type Output = Self;
            #[inline(always)]
            fn $function(self, other: Self) -> Self {
                Self(std::array::from_fn(|i| self.0[i] $symbol other.0[i]))
            }
        }
        impl $assign for F64x8 {
            #[inline(always)]
            fn $assign_function(&mut self, other: Self) {
                *self = *self $symbol other;
            }
        }
    )*};
}
lanewise!(
    Add add AddAssign add_assign +, Sub sub SubAssign sub_assign -, Mul mul MulAssign mul_assign *,
    Div div DivAssign div_assign /, Rem rem RemAssign rem_assign %
);

impl F64x8 {
    fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self(self.0.map(f))
    }
}

impl Neg for F64x8 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self(self.0.map(|v| -v))
    }
}

impl Zero for F64x8 {
    fn zero() -> Self {
        Self([0.0; 8])
    }
    fn is_zero(&self) -> bool {
        *self == Self::zero()
    }
}

impl One for F64x8 {
    fn one() -> Self {
        Self([1.0; 8])
    }
}

impl Num for F64x8 {
    type FromStrRadixErr = <f64 as Num>::FromStrRadixErr;
    fn from_str_radix(text: &str, radix: u32) -> Result<Self, Self::FromStrRadixErr> {
        f64::from_str_radix(text, radix).map(|v| Self([v; 8]))
    }
}

impl Signed for F64x8 {
    fn abs(&self) -> Self {
        self.map(f64::abs)
    }
    fn abs_sub(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|i| (self.0[i] - other.0[i]).max(0.0)))
    }
    fn signum(&self) -> Self {
        self.map(f64::signum)
    }
    fn is_positive(&self) -> bool {
        self.0.iter().all(|v| v.is_sign_positive())
    }
    fn is_negative(&self) -> bool {
        self.0.iter().all(|v| v.is_sign_negative())
    }
}

impl FromPrimitive for F64x8 {
    fn from_i64(n: i64) -> Option<Self> {
        Some(Self([n as f64; 8]))
    }
    fn from_u64(n: u64) -> Option<Self> {
        Some(Self([n as f64; 8]))
    }
    fn from_f64(n: f64) -> Option<Self> {
        Some(Self([n; 8]))
    }
}
