//! What the platform knows and the hub does not: the time, chance, the size of this module.

use js_sys::WebAssembly::Memory;
use shared::Millis;
use wasm_bindgen::JsCast;
use worker::web_sys::WorkerGlobalScope;

/// The time. It stands still during a turn.
pub(crate) fn now() -> Millis {
    js_sys::Date::now() as Millis
}

/// 32 hex digits, 122 bits of which are random.
pub(crate) fn random_hex() -> String {
    let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
    match scope.crypto() {
        Ok(crypto) => crypto.random_uuid().replace('-', ""),
        Err(_) => (0..4).map(|_| format!("{:08x}", random_bits() as u32)).collect(),
    }
}

/// 53 random bits.
pub(crate) fn random_bits() -> u64 {
    (js_sys::Math::random() * (1_u64 << 53) as f64) as u64
}

/// The module's memory in pages of 64 KB. It never shrinks, and every room of the isolate shares it.
pub(crate) fn memory_pages() -> u32 {
    let memory: Memory = wasm_bindgen::memory().unchecked_into();
    memory.buffer().unchecked_into::<js_sys::ArrayBuffer>().byte_length() / (64 << 10)
}
