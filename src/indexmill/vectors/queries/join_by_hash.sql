-- Staging has no index and no statistics: joined by nested loops, a window would cost the square of its size.
SELECT set_config('enable_nestloop', %(nestloop)s, true);
