//! [`Graph`]: an ONNX graph, put together node by node.

use std::ops::Range;

use ndarray::{Array, Array1, Array2, Dimension};

use super::messages::{
    AttributeProto, DimensionChoice, DimensionProto, GraphProto, NodeProto, TensorProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto,
};

/// A tensor of a [`Graph`]: an input, a constant, or what a node gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value(usize);

/// A number that a constant may hold.
pub(super) trait Element: Copy {
    /// `TensorProto.DataType`.
    const DATA_TYPE: i32;
    /// Appends its bytes, the lowest first.
    fn append(self, bytes: &mut Vec<u8>);
}

impl Element for f32 {
    const DATA_TYPE: i32 = TensorProto::FLOAT;

    fn append(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }
}

impl Element for f64 {
    const DATA_TYPE: i32 = TensorProto::DOUBLE;

    fn append(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }
}

impl Element for i64 {
    const DATA_TYPE: i32 = TensorProto::INT64;

    fn append(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }
}

/// Nodes in the order in which they are computed. Operators are those of opset 17; their types are not checked here.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// Of each value.
    names: Vec<String>,
    nodes: Vec<Node>,
    constants: Vec<(Value, TensorProto)>,
    inputs: Vec<(Value, TypeProto)>,
    outputs: Vec<(Value, TypeProto)>,
}

#[derive(Debug)]
struct Node {
    op: &'static str,
    inputs: Vec<Value>,
    output: Value,
    attributes: Vec<AttributeProto>,
}

impl Graph {
    fn value(&mut self, name: String) -> Value {
        self.names.push(name);
        Value(self.names.len() - 1)
    }

    /// An input of `f32`, whose shape is any number of segments and then `shape`.
    pub(super) fn input(&mut self, name: &str, shape: &[usize]) -> Value {
        let value = self.value(name.to_owned());
        self.inputs.push((value, type_of(shape)));
        value
    }

    /// Gives out a value of `f32`, whose shape is a number for each segment of `shape`, under a name.
    pub(super) fn output(&mut self, value: Value, name: &str, shape: &[usize]) {
        name.clone_into(&mut self.names[value.0]);
        self.outputs.push((value, type_of(shape)));
    }

    /// A constant of the shape of `values`.
    pub(super) fn constant<T: Element, D: Dimension>(&mut self, values: &Array<T, D>) -> Value {
        let value = self.value(format!("constant_{}", self.constants.len()));
        let mut raw_data = Vec::with_capacity(values.len() * size_of::<T>());
        values.iter().for_each(|value| value.append(&mut raw_data));
        let dims = values.shape().iter().map(|&size| size as i64).collect();
        let tensor = TensorProto { dims, data_type: T::DATA_TYPE, name: String::new(), raw_data };
        self.constants.push((value, tensor));
        value
    }

    /// A constant of shape `[1]`.
    pub(super) fn scalar<T: Element>(&mut self, value: T) -> Value {
        self.constant(&Array1::from_elem(1, value))
    }

    /// A constant of shape `[n]`.
    pub(super) fn vector<T: Element>(&mut self, values: &[T]) -> Value {
        self.constant(&Array1::from(values.to_vec()))
    }

    /// A node with one output.
    pub(super) fn op<const N: usize>(&mut self, op: &'static str, inputs: [Value; N]) -> Value {
        self.op_with(op, &inputs, Vec::new())
    }

    /// A node with attributes, of whose outputs the first is used.
    pub(super) fn op_with(&mut self, op: &'static str, inputs: &[Value], attributes: Vec<AttributeProto>) -> Value {
        let output = self.value(format!("{}_{}", op.to_ascii_lowercase(), self.nodes.len()));
        self.nodes.push(Node { op, inputs: inputs.to_vec(), output, attributes });
        output
    }

    /// `x + number`, of `f64`.
    pub(super) fn add_number(&mut self, x: Value, number: f64) -> Value {
        let number = self.scalar(number);
        self.op("Add", [x, number])
    }

    /// `x · number`, of `f64`.
    pub(super) fn times_number(&mut self, x: Value, number: f64) -> Value {
        let number = self.scalar(number);
        self.op("Mul", [x, number])
    }

    /// `x · matrix`, of `f64`: the last axis of `x` becomes another.
    pub(super) fn times(&mut self, x: Value, matrix: &Array2<f64>) -> Value {
        let matrix = self.constant(matrix);
        self.op("MatMul", [x, matrix])
    }

    /// `matrix · x`, of `f64`: the last axis but one of `x` becomes another.
    pub(super) fn times_from_left(&mut self, matrix: &Array2<f64>, x: Value) -> Value {
        let matrix = self.constant(matrix);
        self.op("MatMul", [matrix, x])
    }

    /// The mean over the last axis, which has `n` values and keeps one; of `f64`.
    pub(super) fn mean(&mut self, x: Value, n: usize) -> Value {
        self.times(x, &Array2::from_elem((n, 1), 1.0 / n as f64))
    }

    /// As `f64`.
    pub(super) fn cast_to_f64(&mut self, x: Value) -> Value {
        self.op_with("Cast", &[x], vec![int("to", i64::from(TensorProto::DOUBLE))])
    }

    /// As `f32`.
    pub(super) fn cast_to_f32(&mut self, x: Value) -> Value {
        self.op_with("Cast", &[x], vec![int("to", i64::from(TensorProto::FLOAT))])
    }

    /// Another shape: 0 keeps the size of that axis, one −1 takes what is left.
    pub(super) fn reshape(&mut self, x: Value, shape: &[i64]) -> Value {
        let shape = self.vector(shape);
        self.op("Reshape", [x, shape])
    }

    /// A new axis of size 1.
    pub(super) fn unsqueeze(&mut self, x: Value, axis: i64) -> Value {
        let axis = self.vector(&[axis]);
        self.op("Unsqueeze", [x, axis])
    }

    /// The axes in another order.
    pub(super) fn transpose(&mut self, x: Value, order: &[i64]) -> Value {
        self.op_with("Transpose", &[x], vec![ints("perm", order)])
    }

    /// A part of an axis.
    pub(super) fn slice(&mut self, x: Value, axis: i64, part: Range<usize>) -> Value {
        let [start, end, axis] = [part.start as i64, part.end as i64, axis].map(|number| self.vector(&[number]));
        self.op("Slice", [x, start, end, axis])
    }

    /// Those of an axis that `indices` names.
    pub(super) fn gather(&mut self, x: Value, axis: i64, indices: &[usize]) -> Value {
        let indices: Vec<i64> = indices.iter().map(|&index| index as i64).collect();
        let indices = self.vector(&indices);
        self.op_with("Gather", &[x, indices], vec![int("axis", axis)])
    }

    /// One behind the other along an axis.
    pub(super) fn concat(&mut self, parts: &[Value], axis: i64) -> Value {
        self.op_with("Concat", parts, vec![int("axis", axis)])
    }

    /// The `k` largest values of an axis, the largest first, or the `k` smallest, the smallest first.
    pub(super) fn top(&mut self, x: Value, axis: i64, k: usize, largest: bool) -> Value {
        let k = self.vector(&[k as i64]);
        let attributes = vec![int("axis", axis), int("largest", i64::from(largest)), int("sorted", 1)];
        self.op_with("TopK", &[x, k], attributes)
    }

    /// The largest value of the last axis, which keeps one.
    pub(super) fn largest(&mut self, x: Value) -> Value {
        self.op_with("ReduceMax", &[x], vec![ints("axes", &[-1]), int("keepdims", 1)])
    }

    /// The softmax over the last axis.
    pub(super) fn softmax(&mut self, x: Value) -> Value {
        self.op_with("Softmax", &[x], vec![int("axis", -1)])
    }

    /// The graph as a message; the constants move into it.
    #[must_use]
    pub(super) fn finish(self, name: &str) -> GraphProto {
        let Self { names, nodes, constants, inputs, outputs } = self;
        let name_of = |value: &Value| names[value.0].clone();
        let described = |values: Vec<(Value, TypeProto)>| {
            values
                .into_iter()
                .map(|(value, r#type)| ValueInfoProto { name: name_of(&value), r#type: Some(r#type) })
                .collect()
        };
        let node = |Node { op, inputs, output, attributes }: Node| {
            let name = name_of(&output);
            // The indices, which nobody takes, need a name too.
            let second = (op == "TopK").then(|| format!("{name}_indices"));
            NodeProto {
                input: inputs.iter().map(name_of).collect(),
                output: std::iter::once(name.clone()).chain(second).collect(),
                name,
                op_type: op.to_owned(),
                attribute: attributes,
            }
        };
        GraphProto {
            node: nodes.into_iter().map(node).collect(),
            name: name.to_owned(),
            initializer: constants
                .into_iter()
                .map(|(value, tensor)| TensorProto { name: name_of(&value), ..tensor })
                .collect(),
            input: described(inputs),
            output: described(outputs),
        }
    }
}

/// An attribute that is a number.
pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), i: Some(value), ints: Vec::new(), r#type: AttributeProto::INT }
}

/// An attribute that is a list of numbers.
pub(super) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { name: name.to_owned(), i: None, ints: values.to_vec(), r#type: AttributeProto::INTS }
}

/// `f32`, of any number of segments.
fn type_of(shape: &[usize]) -> TypeProto {
    let segments = DimensionChoice::DimParam("segments".to_owned());
    let sizes = shape.iter().map(|&size| DimensionChoice::DimValue(size as i64));
    let dim = std::iter::once(segments).chain(sizes).map(|value| DimensionProto { value: Some(value) }).collect();
    TypeProto {
        tensor_type: Some(TensorTypeProto { elem_type: TensorProto::FLOAT, shape: Some(TensorShapeProto { dim }) }),
    }
}
