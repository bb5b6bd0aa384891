-- taken by another branch
SELECT 1;
