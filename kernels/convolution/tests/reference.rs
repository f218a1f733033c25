//! Every method, level and epilogue beside the definition of a convolution, computed in f64.

use convolution::{
    Epilogue, Filters, Images, Method, Packed, Plan, Values, convolve, filter_gradient,
    gradient::{self, Saved},
};
use proptest::prelude::*;
use simd::{Level, with_level};

/// Numbers between −1 and 1 that look random.
fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// A problem and its reference.
#[derive(Clone, Copy, Debug)]
struct Case {
    n: usize,
    h: usize,
    w: usize,
    inputs: usize,
    outputs: usize,
}

impl Case {
    fn x(&self) -> Vec<f32> {
        noise(self.n * self.h * self.w * self.inputs, 1)
    }

    fn filters(&self) -> Vec<f32> {
        noise(self.outputs * self.inputs * 9, 2)
    }

    fn bias(&self) -> Vec<f32> {
        noise(self.outputs, 3)
    }

    fn gradient(&self) -> Vec<f32> {
        noise(self.n * self.h * self.w * self.outputs, 4)
    }

    /// Calls `visit(output position, output, input position, input, tap)` for each product of the definition.
    fn each(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let Self { n, h, w, inputs, outputs } = *self;
        for image in 0..n {
            for (y, x) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))) {
                for (i, j) in (0..3).flat_map(|i| (0..3).map(move |j| (i, j))) {
                    if !(1..=h).contains(&(y + i)) || !(1..=w).contains(&(x + j)) {
                        continue;
                    }
                    let to = ((image * h + y) * w + x) * outputs;
                    let from = ((image * h + y + i - 1) * w + x + j - 1) * inputs;
                    for k in 0..outputs {
                        for c in 0..inputs {
                            visit(to + k, from + c, (k * inputs + c) * 9 + 3 * i + j);
                        }
                    }
                }
            }
        }
    }

    fn convolved(&self) -> Vec<f64> {
        let (x, filters, bias) = (self.x(), self.filters(), self.bias());
        let mut out: Vec<f64> =
            (0..self.n * self.h * self.w).flat_map(|_| bias.iter().map(|&bias| f64::from(bias))).collect();
        self.each(|to, from, tap| out[to] += f64::from(x[from]) * f64::from(filters[tap]));
        out
    }

    /// ReLU and pooling of `[n][h][w][outputs]`.
    fn ended(&self, values: &[f64], epilogue: Epilogue) -> Vec<f64> {
        let Self { n, h, w, outputs, .. } = *self;
        let relu = |value: f64| if epilogue.relu { value.max(0.0) } else { value };
        if !epilogue.pool {
            return values.iter().map(|&value| relu(value)).collect();
        }
        let mut pooled = Vec::new();
        for image in 0..n {
            for (y, x) in (0..h / 2).flat_map(|y| (0..w / 2).map(move |x| (y, x))) {
                for k in 0..outputs {
                    let at = |i: usize, j: usize| values[((image * h + 2 * y + i) * w + 2 * x + j) * outputs + k];
                    pooled.push(relu(at(0, 0).max(at(0, 1)).max(at(1, 0)).max(at(1, 1))));
                }
            }
        }
        pooled
    }
}

/// Largest difference over the largest value.
fn error(ours: &[f32], reference: &[f64]) -> f64 {
    assert_eq!(ours.len(), reference.len());
    let largest = reference.iter().fold(1e-30f64, |most, value| most.max(value.abs()));
    ours.iter().zip(reference).fold(0.0f64, |most, (&a, &b)| {
        let difference = (f64::from(a) - b).abs();
        // A NaN is as wrong as can be.
        if difference.is_nan() { f64::INFINITY } else { most.max(difference / largest) }
    })
}

/// Every method, with factors and with taps.
fn plans() -> impl Iterator<Item = Plan> {
    Method::ALL.into_iter().flat_map(|method| [false, true].map(|taps| Plan { method, taps }))
}

fn check(case: Case) {
    let Case { n, h, w, inputs, outputs } = case;
    let (x, filters, bias, dy) = (case.x(), case.filters(), case.bias(), case.gradient());
    let x = Images::new(&x, [n, h, w, inputs]);
    let filters = Filters::new(&filters, outputs, inputs);
    let convolved = case.convolved();
    for method in Method::ALL {
        let packed = Packed::new(filters, method);
        let taps = Packed::new(filters, Plan { method, taps: true });
        for (relu, pool) in [(false, false), (true, false), (true, true), (false, true)] {
            let epilogue = Epilogue { relu, pool };
            let ours = convolve(x, &packed, &bias, epilogue, false);
            let error = error(&ours.values, &case.ended(&convolved, epilogue));
            assert!(error < 5e-6, "{case:?}, {method:?}, {epilogue:?}: {error}");
            assert_eq!(convolve(x, &packed, &bias, epilogue, true).values, ours.values, "training changes nothing");
            assert_eq!(
                convolve(x, &taps, &bias, epilogue, false).values,
                ours.values,
                "{case:?}, {method:?}: nor do taps"
            );
        }
    }

    // The gradient of the inputs.
    let dy = Images::new(&dy, [n, h, w, outputs]);
    let mut dx = vec![0.0; n * h * w * inputs];
    case.each(|to, from, tap| dx[from] += f64::from(dy.data[to]) * f64::from(filters.data[tap]));
    for method in Method::ALL {
        let ours = convolve(dy, &Packed::new(filters.reversed(), method), &[], Epilogue::default(), false);
        let error = error(&ours.values, &dx);
        assert!(error < 5e-6, "{case:?}, {method:?}, gradient of the inputs: {error}");
    }
    let mut dw = vec![0.0; outputs * inputs * 9];
    case.each(|to, from, tap| dw[tap] += f64::from(dy.data[to]) * f64::from(x.data[from]));
    let error = error(&filter_gradient(x, dy), &dw);
    assert!(error < 1e-5, "{case:?}, gradient of the filters: {error}");
}

#[test]
fn sizes_around_those_of_tiles_lanes_and_blocks() {
    for (h, w) in [(1, 1), (1, 9), (2, 2), (3, 4), (4, 4), (5, 6), (8, 8), (13, 7)] {
        for (inputs, outputs) in [(1, 1), (3, 16), (16, 3), (15, 17), (33, 65), (8, 130)] {
            check(Case { n: 2, h, w, inputs, outputs });
        }
    }
}

#[test]
fn channels_that_are_taken_through_each_step_together() {
    check(Case { n: 2, h: 20, w: 9, inputs: 160, outputs: 112 });
    check(Case { n: 3, h: 5, w: 50, inputs: 64, outputs: 64 });
    // Several groups of tiles, and a last chunk of inputs that is not whole.
    check(Case { n: 3, h: 13, w: 17, inputs: 170, outputs: 130 });
}

proptest! {
    /// Sizes and channels of 1 to 70, as long as the definition does not take too long.
    #[test]
    fn any_shape(n in 1usize..4, h in 1usize..71, w in 1usize..71, inputs in 1usize..71, outputs in 1usize..71, cut in 0usize..4) {
        let mut sizes = [h, w, inputs, outputs];
        // One size after the other is made small, beginning with a drawn one.
        for i in (0..4).map(|i| (i + cut) % 4) {
            if n * sizes.iter().product::<usize>() > 400_000 {
                sizes[i] = sizes[i].div_ceil(9);
            }
        }
        let [h, w, inputs, outputs] = sizes;
        check(Case { n, h, w, inputs, outputs });
    }
}

#[test]
fn every_level_is_right_and_levels_with_fused_products_agree_in_every_bit() {
    for case in
        [Case { n: 2, h: 11, w: 14, inputs: 35, outputs: 70 }, Case { n: 1, h: 6, w: 7, inputs: 130, outputs: 140 }]
    {
        let (x, filters, dy) = (case.x(), case.filters(), case.gradient());
        let x = Images::new(&x, [case.n, case.h, case.w, case.inputs]);
        let dy = Images::new(&dy, [case.n, case.h, case.w, case.outputs]);
        let mut fused = Vec::new();
        for level in Level::available() {
            with_level(level, || {
                check(case);
                let of_plan = |plan| {
                    let packed = Packed::new(Filters::new(&filters, case.outputs, case.inputs), plan);
                    convolve(x, &packed, &[], Epilogue { relu: true, pool: true }, false).values
                };
                let mut bits: Vec<Values> = plans().map(of_plan).collect();
                bits.push(filter_gradient(x, dy));
                if level.name() != "scalar" {
                    fused.push(bits);
                }
            });
        }
        assert!(fused.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

#[test]
fn neither_threads_nor_the_rest_of_the_batch_change_a_bit() {
    for case in [
        Case { n: 3, h: 30, w: 21, inputs: 20, outputs: 40 },
        Case { n: 3, h: 9, w: 10, inputs: 130, outputs: 140 },
        Case { n: 3, h: 6, w: 40, inputs: 3, outputs: 17 },
    ] {
        let (x, filters, bias, dy) = (case.x(), case.filters(), case.bias(), case.gradient());
        let shape = [case.n, case.h, case.w, case.inputs];
        let everything = || {
            let mut bits =
                vec![filter_gradient(Images::new(&x, shape), Images::new(&dy, [case.n, case.h, case.w, case.outputs]))];
            for plan in plans() {
                let packed = Packed::new(Filters::new(&filters, case.outputs, case.inputs), plan);
                for pool in [false, true] {
                    let epilogue = Epilogue { relu: true, pool };
                    let batch = convolve(Images::new(&x, shape), &packed, &bias, epilogue, false).values;
                    let alone = x.chunks(x.len() / case.n).flat_map(|x| {
                        let x = Images::new(x, [1, case.h, case.w, case.inputs]);
                        convolve(x, &packed, &bias, epilogue, false).values.into_vec()
                    });
                    assert!(alone.eq(batch.iter().copied()), "{case:?}, {plan:?}");
                    bits.push(batch);
                }
            }
            bits
        };
        let with = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(everything);
        let one = with(1);
        assert!([2, 3, 5].into_iter().all(|threads| with(threads) == one), "{case:?}");
    }
}

#[test]
fn a_gradient_goes_back_through_relu_and_pooling() {
    for (h, w) in [(1, 1), (2, 2), (5, 7), (8, 4)] {
        let case = Case { n: 2, h, w, inputs: 5, outputs: 19 };
        let (x, filters, bias, dy) = (case.x(), case.filters(), case.bias(), case.gradient());
        let x = Images::new(&x, [case.n, h, w, case.inputs]);
        let shape = [case.n, h, w, case.outputs];
        let packed = Packed::new(Filters::new(&filters, case.outputs, case.inputs), Method::F4);
        let before = convolve(x, &packed, &bias, Epilogue::default(), false).values;
        let sums = |values: &[f32]| -> Vec<f64> {
            let of_channel = |k: usize| values.iter().skip(k).step_by(case.outputs).map(|&v| f64::from(v)).sum();
            (0..case.outputs).map(of_channel).collect()
        };

        let relu = convolve(x, &packed, &bias, Epilogue { relu: true, pool: false }, false).values;
        let (found, of_bias) = gradient::through_epilogue(&dy, shape, Saved::Relu(&relu));
        let expected: Vec<f32> = before.iter().zip(&dy).map(|(&y, &dy)| if y > 0.0 { dy } else { 0.0 }).collect();
        assert_eq!(*found, *expected);
        assert!(error(&of_bias, &sums(&expected)) < 1e-5);

        let pooled = convolve(x, &packed, &bias, Epilogue { relu: true, pool: true }, true);
        let dy = &dy[..pooled.values.len()];
        let (found, of_bias) = gradient::through_epilogue(dy, shape, Saved::MaxPool(&pooled.argmax));
        let mut expected = vec![0.0; before.len()];
        for (at, (&dy, &value)) in dy.iter().zip(&*pooled.values).enumerate() {
            let (k, position) = (at % case.outputs, at / case.outputs);
            let (column, row) = (position % (w / 2), position / (w / 2) % (h / 2));
            let image = position / (w / 2) / (h / 2);
            let corners = [(0, 0), (0, 1), (1, 0), (1, 1)]
                .map(|(i, j)| ((image * h + 2 * row + i) * w + 2 * column + j) * case.outputs + k);
            if value > 0.0 {
                let source = corners.into_iter().find(|&corner| before[corner] == value).unwrap();
                expected[source] = dy;
            }
        }
        assert_eq!(*found, *expected);
        assert!(error(&of_bias, &sums(&expected)) < 1e-5);
    }
}
