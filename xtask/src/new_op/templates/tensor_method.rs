//! The method on `Tensor`; what is inside the block goes to the end of such a block.

impl Tensor {
    /// `y = x³/(1 + x²)`, elementwise.
    pub fn example_op(&self) -> Result<Tensor> {
        let mut y = self.uninit_like()?;
        kernels::example_op::example_op_fwd(self.device().backend(), self.view(), y.view_mut()?)?;
        Ok(y)
    }
}
