"""Operations on exceptions for findings."""
