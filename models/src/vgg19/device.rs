//! [`Backend`]: what computes, chosen at run time.

use std::{fmt, str::FromStr};

use burn::tensor::Device;

use crate::{Error, Result};

/// What computes the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// burn-flex: the CPU. The default; the same input gives the same bits for any number of threads.
    #[default]
    Flex,
    /// burn-ndarray: the CPU, slower; to compare with. Needs a program that was built with `--features ndarray`.
    Ndarray,
    /// burn-wgpu: a GPU by Vulkan, Metal or DirectX. Needs a program that was built with `--features wgpu`.
    Wgpu,
    /// burn-cuda: an NVIDIA GPU. Needs a program that was built with `--features cuda`.
    Cuda,
}

impl Backend {
    /// Every backend, whether this program has it or not.
    pub const ALL: [Self; 4] = [Self::Flex, Self::Ndarray, Self::Wgpu, Self::Cuda];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::Ndarray => "ndarray",
            Self::Wgpu => "wgpu",
            Self::Cuda => "cuda",
        }
    }

    /// Opens its first device, and computes something there, so that a device that does not work is found here.
    ///
    /// # Errors
    /// [`Error::Device`] for a backend that this program was built without, or a machine without such a device.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Flex => Ok(Device::flex()),
            Self::Ndarray => open_ndarray(),
            Self::Wgpu => open_wgpu(),
            Self::Cuda => open_cuda(),
        }
    }

    #[cfg(not(all(feature = "ndarray", feature = "wgpu", feature = "cuda")))]
    fn missing(self) -> Error {
        Error::Device {
            backend: self.name(),
            detail: format!("this program was built without it; build it with `--features {}`", self.name()),
        }
    }
}

#[cfg(feature = "ndarray")]
#[expect(deprecated, reason = "burn-ndarray is on its way out; it is kept to compare with")]
fn open_ndarray() -> Result<Device> {
    Ok(Device::ndarray())
}

#[cfg(not(feature = "ndarray"))]
fn open_ndarray() -> Result<Device> {
    Err(Backend::Ndarray.missing())
}

#[cfg(feature = "wgpu")]
fn open_wgpu() -> Result<Device> {
    probed(Backend::Wgpu, || Device::wgpu(burn::tensor::DeviceKind::DefaultDevice))
}

#[cfg(not(feature = "wgpu"))]
fn open_wgpu() -> Result<Device> {
    Err(Backend::Wgpu.missing())
}

#[cfg(feature = "cuda")]
fn open_cuda() -> Result<Device> {
    probed(Backend::Cuda, || Device::cuda(burn::tensor::DeviceIndex::Default))
}

#[cfg(not(feature = "cuda"))]
fn open_cuda() -> Result<Device> {
    Err(Backend::Cuda.missing())
}

/// Burn panics where an accelerator is missing; a flag must not, so the first use is made where a panic is an error.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn probed(backend: Backend, make: impl FnOnce() -> Device + std::panic::UnwindSafe) -> Result<Device> {
    use std::sync::{Arc, Mutex, OnceLock};

    // Of two at once, the second would take the first's silence for the hook to put back.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let turn = ONE_AT_A_TIME.lock();
    // Why it fails is said by a thread of the device; in this one, only that the thread is gone.
    let reason = Arc::new(OnceLock::<String>::new());
    let first = Arc::clone(&reason);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if let Some(said) = panic.payload_as_str() {
            first.get_or_init(|| said.to_owned());
        }
    }));
    let result = std::panic::catch_unwind(|| {
        let device = make();
        let two = burn::tensor::Tensor::<1>::from_floats([1.0, 1.0], &device).sum().into_scalar::<f32>();
        (two == 2.0).then_some(device)
    });
    std::panic::set_hook(hook);
    drop(turn);
    let detail = match result {
        Ok(Some(device)) => return Ok(device),
        Ok(None) => "it adds up wrongly",
        Err(_) => reason.get().and_then(|said| said.lines().next()).unwrap_or("it does not start"),
    };
    Err(Error::Device { backend: backend.name(), detail: format!("no such device works on this machine: {detail}") })
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Backend {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|backend| backend.name() == name)
            .ok_or_else(|| format!("unknown device `{name}`; the devices are {known}"))
    }
}
