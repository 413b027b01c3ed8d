//! A window into a forward pass: named intermediate values, for `trace` and for comparison with reference activations.

use autograd::Var;

/// Sees named values as they are made. Names: `wte_out`, `embed_norm`, `block{i}.in`, `block{i}.attn_norm`, `block{i}.q`
/// (`k`, `v`), `block{i}.q_rope` (`k_rope`), `block{i}.q_norm` (`k_norm`), `block{i}.attn`, `block{i}.attn_proj`,
/// `block{i}.after_attn`, `block{i}.mlp_norm`, `block{i}.fc`, `block{i}.relu2`, `block{i}.mlp_proj`, `block{i}.out`,
/// `final_norm`.
pub trait Observer {
    /// One value.
    fn see(&mut self, name: &str, value: &Var);
}

/// Sees nothing: the usual case.
pub struct Blind;

impl Observer for Blind {
    fn see(&mut self, _: &str, _: &Var) {}
}

/// A closure is an observer.
impl<F: FnMut(&str, &Var)> Observer for F {
    fn see(&mut self, name: &str, value: &Var) {
        self(name, value)
    }
}
